// How all programs read their command line: --help exits with 0, a mistake with one line on stderr and 2. The work is
// CLI11's, whose header is compiled in command_line.cpp alone; the names here are its own.
#pragma once
#include <fmt/core.h>

#include <functional>
#include <limits>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/base/number.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace mpanet {

// What a program says about an option that it does not have, called with the option's name and the value after it; ""
// if it knows nothing.
using UnknownOption = std::function<std::string(const std::string& name, const std::string& value)>;

// The options of a program, or of one of its commands. What they are read into must outlive it.
class CommandLine {
 public:
  class Option {
   public:
    explicit Option(CLI::Option& option) : option_(option) {}
    Option* required();
    Option* one_of(const std::vector<std::string>& words);  // anything else is refused
    Option* delimiter(char separator);                      // of several values in one word
    Option* take_all();                                     // given again, it adds to what it took
    Option* needs(const Option* other);
    // What --help shows: the kind of value, and the default.
    Option* type_name(const std::string& name);
    Option* default_str(const std::string& text);
    Option* capture_default_str();  // what the variable holds now

   private:
    CLI::Option& option_;
  };

  CommandLine(const std::string& about, const std::string& name);

  // `name` begins with -- , or is the name of what stands without an option.
  Option* add_option(const std::string& name, std::string& value, const std::string& help);
  Option* add_option(const std::string& name, std::vector<std::string>& values, const std::string& help);
  // "--x", or "--x,!--no-x" for one that can be turned off too.
  Option* add_flag(const std::string& name, bool& value, const std::string& help);
  // `take` gets the word; where it returns false, the message is "NAME: expected ALLOWED, got ...".
  Option* add_checked(const std::string& name, const std::string& allowed, const std::string& help,
                      std::function<bool(const std::string& word)> take);

  CommandLine* add_subcommand(const std::string& name, const std::string& about);
  void require_subcommand();
  bool parsed() const;  // whether this command was given

  void take_last();  // of an option that is given again; for options that are added afterwards
  void footer(const std::string& text);
  void column_width(size_t columns);  // of the options' names in --help
  std::string help() const;

  // The value of an option as it was typed; nothing where it was not given.
  std::optional<std::string> given(const std::string& name) const;

 private:
  friend std::optional<int> parse_command_line(CommandLine&, int, char**, const UnknownOption&);
  explicit CommandLine(std::shared_ptr<CLI::App> app) : app_(std::move(app)) {}
  Option* keep(CLI::Option* option) { return &options_.emplace_back(*option); }

  std::shared_ptr<CLI::App> app_;
  std::list<Option> options_;
  std::list<CommandLine> commands_;
};

// The exit code to end with at once, or nothing: go on.
std::optional<int> parse_command_line(CommandLine& app, int argc, char** argv, const UnknownOption& hint = {});

namespace command_line {

template <class T>
struct Plain {
  using type = T;
};
template <class T>
struct Plain<std::optional<T>> {
  using type = T;
};

// `parse` makes a number of a word, or nothing where it is none. --help shows what a plain `value` holds.
template <class Number, class Value>
CommandLine::Option* add(CommandLine& app, const std::string& name, Value& value, Number low, Number high,
                         const char* kind, const std::string& help,
                         std::optional<Number> (*parse)(std::string_view word)) {
  auto* option = app.add_checked(name, fmt::format("{} in {}..{}", kind, low, high), help,
                                 [&value, low, high, parse](const std::string& word) {
                                   const auto number = parse(word);
                                   if (!number || *number < low || *number > high) return false;
                                   value = *number;
                                   return true;
                                 });
  if constexpr (std::is_arithmetic_v<Value>) option->default_str(fmt::format("{}", value));
  return option->type_name(high < std::numeric_limits<Number>::max() ? fmt::format("{}..{}", low, high) : "N");
}

}  // namespace command_line

// An option that takes a whole number in low..high, and nothing else: CLI11's own conversion also takes 0x10, 010 for
// 8, spaces and words such as true. `value` may be a std::optional; else --help shows what it holds as the default.
template <class Value, class Int = typename command_line::Plain<Value>::type>
CommandLine::Option* add_whole_number(CommandLine& app, const std::string& name, Value& value,
                                      std::type_identity_t<Int> low, std::type_identity_t<Int> high,
                                      const std::string& help) {
  return command_line::add<Int>(app, name, value, low, high, "a whole number", help, parse_whole<Int>);
}

// The same with fractions: 0.5, 1e-3. Neither inf nor nan is a number here.
inline CommandLine::Option* add_number(CommandLine& app, const std::string& name, double& value, double low,
                                       double high, const std::string& help) {
  return command_line::add<double>(app, name, value, low, high, "a number", help, parse_number);
}

}  // namespace mpanet
