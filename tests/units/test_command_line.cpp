// Numbers on command lines: decimal, integers if required, in range, or refused.
#include <doctest/doctest.h>

#include <limits>

#include "core/base/command_line.h"

using namespace mpanet;

namespace {

struct Values {
  int count = 5;
  std::optional<uint64_t> seed;
  double seconds = 0.3;
};

// The parsed arguments, or an error text in `error`.
Values parse(const std::vector<std::string>& arguments, std::string* error = nullptr) {
  CLI::App app("about", "program");
  Values values;
  add_whole_number(app, "--count", values.count, 1, 4096, "how many");
  add_whole_number(app, "--seed", values.seed, 0, std::numeric_limits<uint64_t>::max(), "of the numbers");
  add_number(app, "--seconds", values.seconds, 0.001, 60, "how long");
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    if (error) error->clear();
  } catch (const CLI::ParseError& e) {
    REQUIRE(error);
    *error = e.what();
  }
  return values;
}

std::string refusal(const std::string& option, const std::string& value) {
  std::string error;
  parse({option, value}, &error);
  return error;
}

}  // namespace

TEST_CASE("numbers in text") {
  CHECK(parse_whole<int>("42") == 42);
  CHECK(parse_whole<int>("-7") == -7);
  CHECK(parse_whole<int>("010") == 10);  // decimal, not octal
  CHECK(parse_whole<int>("2147483647") == 2147483647);
  for (const char* text :
       {"", " 1", "1 ", "+1", "0x10", "1e3", "1.0", "1,000", "true", "2147483648", "--1", "١", "1\n"})
    CHECK_MESSAGE(!parse_whole<int>(text), text);
  CHECK(!parse_whole<int>(std::string_view("1\0", 2)));
  CHECK(!parse_whole<unsigned>("-1"));
  CHECK(parse_whole<uint64_t>("18446744073709551615") == 18446744073709551615u);
  CHECK(!parse_whole<uint64_t>("18446744073709551616"));

  CHECK(parse_number("0.5") == 0.5);
  CHECK(parse_number("1e-3") == 1e-3);
  CHECK(parse_number("3") == 3);
  for (const char* text :
       {"", " 1", "1 ", "+1", "0x1p3", "inf", "-inf", "nan", "nan(1)", "infinity", "1e999", "1f", "1,5"})
    CHECK_MESSAGE(!parse_number(text), text);

  CHECK(parse_size("384x128") == std::pair(384, 128));
  for (const char* text :
       {"", "384", "x", "384x", "x128", "384x128x1", "384 x128", "+384x128", "0x128", "384x-1", "0x10x3"})
    CHECK_MESSAGE(!parse_size(text), text);
}

TEST_CASE("options take what is in range") {
  const Values values = parse({"--count", "4096", "--seed", "18446744073709551615", "--seconds", "1e-2"});
  CHECK(values.count == 4096);
  CHECK(values.seed == 18446744073709551615u);
  CHECK(values.seconds == 1e-2);
  CHECK(parse({"--count=010"}).count == 10);
  CHECK(!parse({}).seed);
  CHECK(parse({}).count == 5);
}

TEST_CASE("and refuse the rest by name") {
  for (const char* value :
       {"0", "4097", "-1", "0x10", "1e3", " 7", "7 ", "+7", "7.0", "true", "many", "99999999999999999999"})
    CHECK(refusal("--count", value) == fmt::format("--count: expected a whole number in 1..4096, got \"{}\"", value));
  CHECK(refusal("--seed", "-1") == "--seed: expected a whole number in 0..18446744073709551615, got \"-1\"");
  CHECK(refusal("--seed", "18446744073709551616") != "");
  for (const char* value : {"nan", "inf", "0", "60.1", "0x1p-3", "1e999"})
    CHECK(refusal("--seconds", value) == fmt::format("--seconds: expected a number in 0.001..60, got \"{}\"", value));
  CHECK(refusal("--count", "\x1b[31m\n") == "--count: expected a whole number in 1..4096, got \"\\x1b[31m\\n\"");
}

TEST_CASE("help shows the range and the default") {
  CLI::App app("about", "program");
  int count = 5;
  uint64_t seed = 1;
  add_whole_number(app, "--count", count, 1, 4096, "how many");
  add_whole_number(app, "--seed", seed, 0, std::numeric_limits<uint64_t>::max(), "of the numbers");
  const std::string help = app.help();
  CHECK(help.find("--count 1..4096=5 ") != std::string::npos);
  CHECK(help.find("--seed N=1 ") != std::string::npos);
}
