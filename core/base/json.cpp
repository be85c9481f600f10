#include "core/base/json.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/quote.h"

namespace mpanet {
namespace {

constexpr size_t kShownCharacters = 80;
constexpr size_t kDeepest = 32;

std::string place(std::string_view text, size_t byte) {
  const std::string_view before = text.substr(0, std::min(byte > 0 ? byte - 1 : 0, text.size()));
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const size_t start = before.rfind('\n');
  return fmt::format("line {}, column {}", line, before.size() - (start == before.npos ? 0 : start + 1) + 1);
}

// Builds the document from the values that the library's scanner reports. (The library's own builder with a callback
// searches the whole parent at the end of every object, and its recursion on deep nesting exhausts the stack.)
template <class Json>
class Reader : public nlohmann::json_sax<Json> {
 public:
  using typename nlohmann::json_sax<Json>::number_integer_t;
  using typename nlohmann::json_sax<Json>::number_unsigned_t;
  using typename nlohmann::json_sax<Json>::number_float_t;
  using typename nlohmann::json_sax<Json>::string_t;
  using typename nlohmann::json_sax<Json>::binary_t;

  Reader(std::string_view text, const std::string& source) : text_(text), source_(source) {}
  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t& text) override {
    // The library reads 1e-400 as 0.
    const std::string_view digits = std::string_view(text).substr(0, text.find_first_of("eE"));
    if (value == 0 && digits.find_first_of("123456789") != digits.npos)
      fail("{}: expected JSON, got a number out of range: {}", source_, printable(text, 40));
    return add(value);
  }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // JSON text has no binary values
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    if (!open_.back().names.insert(name).second) fail("{}: the name {} is given twice", source_, quote(name));
    name_ = std::move(name);
    return true;
  }

  bool parse_error(size_t byte, const std::string&, const nlohmann::json::exception& error) override {
    // 406: the number exceeds double's range.
    if (error.id == 406) fail("{}: expected JSON, got a number out of range", source_);
    fail("{}: expected JSON, broken at {}", source_, place(text_, byte));
  }

 private:
  struct Open {
    Json* value;
    std::set<std::string> names;
  };

  Json* insert(Json value) {
    if (open_.empty()) return &(root_ = std::move(value));
    Json& parent = *open_.back().value;
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    auto& members = parent.template get_ref<typename Json::object_t&>();
    if constexpr (std::is_same_v<Json, nlohmann::ordered_json>)
      return &members.emplace_back(std::move(name_), std::move(value)).second;  // emplace() would search all members
    else
      return &members.emplace(std::move(name_), std::move(value)).first->second;
  }
  bool add(Json value) { return insert(std::move(value)), true; }
  bool open(Json value) {
    if (open_.size() == kDeepest) fail("{}: expected at most {} levels of nesting", source_, kDeepest);
    open_.push_back({insert(std::move(value)), {}});
    return true;
  }
  bool close() { return open_.pop_back(), true; }

  std::string_view text_;
  const std::string& source_;
  Json root_;
  std::vector<Open> open_;  // from the root to the value that is being filled
  std::string name_;        // name of the next member
};

template <class Json>
Json read(std::string_view text, const std::string& source) {
  // The library would treat a NUL byte as the end of the text.
  if (const size_t nul = text.find('\0'); nul != text.npos)
    fail("{}: expected JSON, got a NUL byte at {}", source, place(text, nul + 1));
  Reader<Json> reader(text, source);
  Json::sax_parse(text.begin(), text.end(), &reader);
  return reader.take();
}

}  // namespace

nlohmann::json parse_json(std::string_view text, const std::string& source) {
  return read<nlohmann::json>(text, source);
}

nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::string& source) {
  return read<nlohmann::ordered_json>(text, source);
}

std::optional<nlohmann::json> try_parse_json(std::string_view text) {
  try {
    return parse_json(text, "");
  } catch (const UserError&) {
    return std::nullopt;
  }
}

std::string shown(const nlohmann::json& value) {
  const auto simple = [](const nlohmann::json& v) { return !v.is_structured(); };
  if (value.is_string()) return quote(value.get_ref<const std::string&>());
  if (value.is_object()) return "an object";
  if (value.is_array() && !std::all_of(value.begin(), value.end(), simple)) return "a nested list";
  return printable(value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace), kShownCharacters);
}

bool is_utf8(const std::string& text) {
  try {
    return nlohmann::json(text).dump(), true;
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

}  // namespace mpanet
