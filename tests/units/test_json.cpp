// The JSON reader: valid and invalid texts, messages, and its cost.
#include <doctest/doctest.h>

#include <ctime>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/base/json_fields.h"
#include "tests/support/temporary_folder.h"

using namespace mpanet;
using nlohmann::json;
using nlohmann::ordered_json;

namespace {

std::string refusal(const std::string& text) {
  const std::string message = error_of([&] { parse_json(text, "f"); });
  CHECK(error_of([&] { parse_ordered_json(text, "f"); }) == message);
  CHECK(try_parse_json(text).has_value() == message.empty());
  CHECK(message.find('\n') == message.npos);
  return message;
}

double seconds_of(const std::string& text) {
  const std::clock_t start = std::clock();
  error_of([&] { parse_json(text, "f"); });
  error_of([&] { parse_ordered_json(text, "f"); });
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

}  // namespace

TEST_CASE("every kind of value, in its place") {
  const std::string text =
      R"({"b": [1, -2, 2.5, 18446744073709551615, true, null, "x\u00e9\n", [], {}, [[3], {"k": [4]}]], "a": {"z": 1, "y": 2}})";
  const json value = parse_json(text, "f");
  REQUIRE(value.is_object());
  CHECK(value.size() == 2);
  const json& b = value.at("b");
  REQUIRE(b.size() == 10);
  CHECK(b[0] == 1);
  CHECK(b[1] == -2);
  CHECK(b[2] == 2.5);
  CHECK(b[3].get<uint64_t>() == 18446744073709551615u);
  CHECK(b[4] == true);
  CHECK(b[5].is_null());
  CHECK(b[6] == "x\xc3\xa9\n");
  CHECK(b[7] == json::array());
  CHECK(b[8] == json::object());
  CHECK(b[9].dump() == R"([[3],{"k":[4]}])");
  CHECK(value.dump().find(R"("a":{"y":2,"z":1})") != std::string::npos);  // sorted
  CHECK(parse_ordered_json(text, "f").at("a").dump() == R"({"z":1,"y":2})");
  CHECK(parse_ordered_json(text, "f").dump().starts_with(R"({"b":[1,-2,2.5,)"));
  CHECK(parse_json(" 7 ", "f") == 7);
  CHECK(parse_json("\xef\xbb\xbf[1]", "f") == json::array({1}));
}

TEST_CASE("what is refused") {
  CHECK(refusal("") == "f: expected JSON, broken at line 1, column 1");
  CHECK(refusal("{\n  \"a\": 4,\n  }") == "f: expected JSON, broken at line 3, column 3");
  CHECK(refusal("[1] x") == "f: expected JSON, broken at line 1, column 5");
  CHECK(refusal("[\"\xff\"]").starts_with("f: expected JSON, broken at line 1"));
  CHECK(refusal("[1e999]") == "f: expected JSON, got a number out of range");
  for (const char* number : {"1e-400", "-0.3E-999"})
    CHECK(refusal(fmt::format("[{}]", number)) ==
          fmt::format("f: expected JSON, got a number out of range: {}", number));
  for (const char* number : {"0.0", "-0.0", "0e7", "0.00E-999", "1e-320"})  // the last is a denormal number
    CHECK(refusal(fmt::format("[{}]", number)) == "");
  CHECK(refusal(R"({"a": 1, "b": {"a": 2}, "a": 3})") == "f: the name \"a\" is given twice");
  CHECK(refusal(R"({"b": {"a": 2}, "a": 3})") == "");
  CHECK(refusal(R"({"\u001b[31m": 1, "\u001b[31m": 2})") == "f: the name \"\\x1b[31m\" is given twice");
  CHECK(refusal(std::string("{\"a\": 1}\0{\"b\": 2}", 17)) == "f: expected JSON, got a NUL byte at line 1, column 9");
  CHECK(refusal(std::string("{\"a\n\0\": 1}", 10)) == "f: expected JSON, got a NUL byte at line 2, column 1");
}

TEST_CASE("nesting is limited, however many levels a file has") {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  CHECK(refusal(nested(32)) == "");
  CHECK(refusal(nested(33)) == "f: expected at most 32 levels of nesting");
  CHECK(refusal(std::string(10'000'000, '[')) == "f: expected at most 32 levels of nesting");
  std::string objects;
  for (int i = 0; i < 100000; i++) objects += "{\"a\":";
  CHECK(refusal(objects) == "f: expected at most 32 levels of nesting");
}

TEST_CASE("time grows with the text, not with its square") {
  // 40,000 members took minutes when the end of every object searched its whole parent.
  std::string text = "{";
  for (int i = 0; i < 100000; i++) text += fmt::format("{}\"t{}\":{{\"shape\":[0]}}", i ? "," : "", i);
  CHECK(seconds_of(text + "}") < 10);
  CHECK(seconds_of(text) < 10);
}

TEST_CASE("values in messages") {
  CHECK(shown(json("a\n\"b\"")) == "\"a\\n\\\"b\\\"\"");
  CHECK(shown(json(1.5)) == "1.5");
  CHECK(shown(json::object({{"a", 1}})) == "an object");
  CHECK(shown(json::parse("[[1]]")) == "a nested list");
  CHECK(shown(json(std::vector<int>(100, 1))).size() == 83);
}

TEST_CASE("fields by type and range, or one line with file and key") {
  const std::string text =
      R"({"t": "x", "b": true, "n": 7, "d": 2.5, "z": null, "l": [1, null], "o": {"n": -1, "t": 3}, "h": 1e308})";
  const ordered_json object = parse_ordered_json(text, "f");
  const JsonFields fields(object, "f");
  CHECK(fields.text("t") == "x");
  CHECK(fields.boolean("b"));
  CHECK(fields.whole<int>("n", 0, 7) == 7);
  CHECK(fields.number("n", 0, 10) == 7);
  CHECK(fields.number("d", 0, 10) == 2.5);
  CHECK(fields.number_or_null("d", 0, 10) == 2.5);
  CHECK(!fields.number_or_null("z", 0, 10));
  CHECK(fields.list("l").size() == 2);
  CHECK(fields.object("o").whole<int>("n", -1, 0) == -1);
  CHECK(fields.has("z"));
  CHECK(!fields.has("a"));
  const auto refused = [](const auto& call) { return error_of(call); };
  CHECK(refused([&] { fields.text("n"); }) == "f: n: expected a text, got 7");
  CHECK(refused([&] { fields.text("a"); }) == "f: a: expected a text, got none");
  CHECK(refused([&] { fields.boolean("z"); }) == "f: z: expected true or false, got null");
  CHECK(refused([&] { fields.whole<int>("n", 0, 6); }) == "f: n: expected an integer in 0..6, got 7");
  CHECK(refused([&] { fields.whole<int>("d", 0, 6); }) == "f: d: expected an integer in 0..6, got 2.5");
  CHECK(refused([&] { fields.whole<int>("b", 0, 6); }) == "f: b: expected an integer in 0..6, got true");
  CHECK(refused([&] { fields.whole<int>("h", 0, 6); }) == "f: h: expected an integer in 0..6, got 1e+308");
  CHECK(refused([&] { fields.number("h", 0, 100); }) == "f: h: expected a number in 0..100, got 1e+308");
  CHECK(refused([&] { fields.number("z", 0, 100); }) == "f: z: expected a number in 0..100, got null");
  CHECK(refused([&] { fields.number_or_null("t", 0, 100); }) == "f: t: expected a number in 0..100 or null, got \"x\"");
  CHECK(refused([&] { fields.list("o"); }) == "f: o: expected a list, got an object");
  CHECK(refused([&] { fields.object("l"); }) == "f: l: expected an object, got [1,null]");
  CHECK(refused([&] { fields.object("o").text("t"); }) == "f: o.t: expected a text, got 3");
  CHECK(refused([&] { fields.number_or_null(fields.list("l")[0], "l[0]", 2, 3); }) ==
        "f: l[0]: expected a number in 2..3 or null, got 1");
  CHECK(refused([&] { JsonFields(fields.list("l"), "f", "l"); }) == "f: l: expected an object, got [1,null]");
  CHECK(refused([&] { JsonFields(fields.list("l"), "f"); }) == "f: expected an object, got [1,null]");
}
