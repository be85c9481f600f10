#include "mpanet/config/yaml.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "core/base/error.h"
#include "core/base/quote.h"

#ifdef MPANET_HAS_YAML
#  include <yaml.h>
#endif

namespace mpanet {

#ifndef MPANET_HAS_YAML

bool yaml_supported() { return false; }

std::vector<YamlEntry> parse_yaml(std::string_view, const std::string& source) {
  fail("{}: this build has no libyaml and cannot read YAML (build with -DMPANET_YAML=ON)", source);
}

#else

namespace {

using nlohmann::json;

constexpr size_t kLongest = 1 << 20;  // bytes
constexpr int kDeepest = 8;           // levels
constexpr size_t kMostValues = 10000;

// A decimal number without leading zeros, with an optional sign; else null.
json number_of(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  const bool negative = text.starts_with('-');
  const std::string_view digits = text.substr(negative ? 1 : 0);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const bool begins =
      !digits.empty() && (is_digit(digits[0]) || (digits[0] == '.' && digits.size() > 1 && is_digit(digits[1])));
  if (!begins || (digits.size() > 1 && digits[0] == '0' && is_digit(digits[1]))) return nullptr;
  const char* const end = text.data() + text.size();
  if (std::all_of(digits.begin(), digits.end(), is_digit)) {
    int64_t value = 0;
    if (const auto [stop, error] = std::from_chars(text.data(), end, value); error == std::errc() && stop == end)
      return value;
  }
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end ? json(value) : json(nullptr);
}

// A Python tuple or list of decimal numbers, as yacs reads it; else null.
json tuple_of(std::string_view text) {
  const bool tuple = text.starts_with('(') && text.ends_with(')'), list = text.starts_with('[') && text.ends_with(']');
  if (text.size() < 2 || (!tuple && !list)) return nullptr;
  json values = json::array();
  std::string_view rest = text.substr(1, text.size() - 2);
  const auto trim = [](std::string_view part) {
    const size_t begin = part.find_first_not_of(' ');
    return begin == part.npos ? std::string_view() : part.substr(begin, part.find_last_not_of(' ') + 1 - begin);
  };
  while (!trim(rest).empty()) {
    const size_t comma = rest.find(',');
    if (tuple && comma == rest.npos && values.empty()) return nullptr;  // (1) is a number in parentheses
    values.push_back(number_of(trim(rest.substr(0, comma))));
    if (values.back().is_null()) return nullptr;
    if (comma == rest.npos) break;
    rest.remove_prefix(comma + 1);
  }
  return values;
}

json scalar_value(const std::string& text, bool plain) {
  static const std::map<std::string_view, json, std::less<> > words = [] {
    std::map<std::string_view, json, std::less<> > all;
    for (const char* word : {"yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"}) all[word] = true;
    for (const char* word : {"no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"}) all[word] = false;
    for (const char* word : {"", "~", "null", "Null", "NULL"}) all[word] = nullptr;
    return all;
  }();
  if (plain) {
    if (const auto word = words.find(text); word != words.end()) return word->second;
  } else if (text == "True" || text == "False") {
    return text == "True";
  }
  for (json value : {number_of(text), tuple_of(text)})
    if (!value.is_null()) return value;
  return text;
}

// libyaml's parser with its events.
class Events {
 public:
  Events(std::string_view text, const std::string& source) : source_(source) {
    if (yaml_parser_initialize(&parser_) == 0) throw std::bad_alloc();
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  ~Events() {
    yaml_event_delete(&event_);
    yaml_parser_delete(&parser_);
  }
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;

  const yaml_event_t& next() {
    yaml_event_delete(&event_);
    if (yaml_parser_parse(&parser_, &event_) != 0) return event_;
    if (parser_.error == YAML_MEMORY_ERROR) throw std::bad_alloc();
    fail("{} line {}: expected YAML: {}", source_, parser_.problem_mark.line + 1,
         parser_.problem != nullptr ? parser_.problem : "broken");
  }
  const yaml_event_t& event() const { return event_; }  // the last one
  size_t line() const { return event_.start_mark.line + 1; }

 private:
  const std::string& source_;
  yaml_parser_t parser_{};
  yaml_event_t event_{};
};

std::string text_of(const yaml_char_t* text, size_t length) { return {reinterpret_cast<const char*>(text), length}; }
std::string text_of(const yaml_char_t* text) { return text != nullptr ? reinterpret_cast<const char*>(text) : ""; }

size_t count_values(const json& value) {
  size_t count = 1;
  if (value.is_structured())
    for (const json& part : value) count += count_values(part);
  return count;
}

class YamlReader {
 public:
  YamlReader(std::string_view text, const std::string& source) : events_(text, source), source_(source) {}

  std::vector<YamlEntry> document() {
    events_.next();  // the stream begins
    if (events_.next().type == YAML_STREAM_END_EVENT)
      fail("{}: expected a mapping of keys to values, got nothing", source_);
    const yaml_event_t& root = events_.next();
    if (root.type != YAML_MAPPING_START_EVENT) fail_here("expected a mapping of keys to values");
    check_tag(root.data.mapping_start.tag);
    std::vector<YamlEntry> entries = mapping(1);
    events_.next();  // the document ends
    if (events_.next().type != YAML_STREAM_END_EVENT) fail_here("expected one document, got a second one");
    return entries;
  }

 private:
  template <class... Args>
  [[noreturn]] void fail_here(fmt::format_string<Args...> text, Args&&... args) {
    fail("{} line {}: {}", source_, events_.line(), fmt::format(text, std::forward<Args>(args)...));
  }
  void check_tag(const yaml_char_t* tag) {
    if (tag != nullptr) fail_here("expected a value without a tag, got {}", quote(text_of(tag)));
  }
  void count(size_t values) {
    values_ += values;
    if (values_ > kMostValues) fail_here("expected at most {} values", kMostValues);
  }

  // Reads a mapping after its start event, with its end event.
  std::vector<YamlEntry> mapping(int depth) {
    std::vector<YamlEntry> entries;
    std::map<std::string, size_t> lines;
    for (;;) {
      const yaml_event_t& event = events_.next();
      if (event.type == YAML_MAPPING_END_EVENT) return entries;
      if (event.type != YAML_SCALAR_EVENT) fail_here("expected a key, got no scalar");
      check_tag(event.data.scalar.tag);
      const std::string key = text_of(event.data.scalar.value, event.data.scalar.length);
      const size_t line = events_.line();
      if (const auto [first, added] = lines.emplace(key, line); !added)
        fail_here("{} is already in line {}", quote(key), first->second);
      events_.next();
      entries.push_back({key, value(depth), line});
    }
  }

  // The value of the current event.
  json value(int depth) {
    const yaml_event_t& event = events_.event();
    count(1);
    if (event.type == YAML_ALIAS_EVENT) {
      const auto known = anchors_.find(text_of(event.data.alias.anchor));
      if (known == anchors_.end())
        fail_here("expected an anchor before its alias {}", quote(text_of(event.data.alias.anchor)));
      count(count_values(known->second));
      return known->second;
    }
    if (event.type == YAML_SCALAR_EVENT) {
      const auto& scalar = event.data.scalar;
      check_tag(scalar.tag);
      const std::string text = text_of(scalar.value, scalar.length);
      return keep(text_of(scalar.anchor), scalar_value(text, scalar.style == YAML_PLAIN_SCALAR_STYLE));
    }
    if (depth == kDeepest) fail_here("expected at most {} levels of nesting", kDeepest);
    if (event.type == YAML_SEQUENCE_START_EVENT) {
      check_tag(event.data.sequence_start.tag);
      const std::string anchor = text_of(event.data.sequence_start.anchor);
      json list = json::array();
      while (events_.next().type != YAML_SEQUENCE_END_EVENT) list.push_back(value(depth + 1));
      return keep(anchor, std::move(list));
    }
    check_tag(event.data.mapping_start.tag);
    const std::string anchor = text_of(event.data.mapping_start.anchor);
    json object = json::object();
    for (YamlEntry& entry : mapping(depth + 1)) object[entry.key] = std::move(entry.value);
    return keep(anchor, std::move(object));
  }

  json keep(const std::string& anchor, json value) {
    if (!anchor.empty()) anchors_[anchor] = value;
    return value;
  }

  Events events_;
  const std::string& source_;
  std::map<std::string, json> anchors_;
  size_t values_ = 0;
};

}  // namespace

bool yaml_supported() { return true; }

std::vector<YamlEntry> parse_yaml(std::string_view text, const std::string& source) {
  if (text.size() > kLongest) fail("{}: expected at most {} bytes of YAML, got {}", source, kLongest, text.size());
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff"))
    fail("{}: expected YAML in UTF-8, got UTF-16", source);
  return YamlReader(text, source).document();
}

#endif

}  // namespace mpanet
