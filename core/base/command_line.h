// Command lines of all programs: --help exits with 0, an error prints one line on stderr and exits with 2. A thin layer
// over CLI11, with its names: its header takes seconds to compile, so that only command_line.cpp includes it.
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

// A program's hint about an unknown option. Called with the option's name and the word after it. Returns "" without a
// hint.
using UnknownOption = std::function<std::string(const std::string& name, const std::string& value)>;

// The options of a program or of a subcommand. The variables that they are read into must outlive it.
class CommandLine {
 public:
  class Option {
   public:
    explicit Option(CLI::Option& option) : option_(option) {}
    Option* required();
    Option* one_of(const std::vector<std::string>& words);  // other words are refused
    Option* take_all();                                     // a repeated option adds its values
    Option* needs(const Option* other);
    // For --help: the kind of value, and the default.
    Option* type_name(const std::string& name);
    Option* default_str(const std::string& text);
    Option* capture_default_str();  // the variable's value now

   private:
    CLI::Option& option_;
  };

  CommandLine(const std::string& about, const std::string& name);
  CommandLine(CommandLine&&) noexcept = default;
  CommandLine& operator=(CommandLine&&) = delete;

  // An option "--x", or a positional argument "X". An empty value is refused, also as "--x=".
  Option* add_option(const std::string& name, std::string& value, const std::string& help);
  Option* add_option(const std::string& name, std::vector<std::string>& values, const std::string& help);
  // "--x", or "--x,!--no-x" for a flag that can be turned off.
  Option* add_flag(const std::string& name, bool& value, const std::string& help);
  // `take` is called with the word. When it returns false, the error is "NAME: expected ALLOWED, got ...".
  Option* add_checked(const std::string& name, const std::string& allowed, const std::string& help,
                      std::function<bool(const std::string& word)> take);

  // Words between commas, such as a,b. When `known` is not empty, other words are refused.
  Option* add_list(const std::string& name, std::vector<std::string>& words, const std::string& help,
                   const std::vector<std::string>& known = {});

  CommandLine* add_subcommand(const std::string& name, const std::string& about);
  void require_subcommand();
  bool parsed() const;  // whether this subcommand was given

  // --version: prints the text and exits with 0, whatever else the command line lacks. Called when it is given.
  void add_version(std::function<std::string()> text);
  void take_last();  // a repeated option overwrites; for options added afterwards
  void footer(const std::string& text);
  void column_width(size_t columns);  // of the left column in --help
  std::string help() const;

  // The value of an option as it was typed; nullopt when the option was not given.
  std::optional<std::string> given(const std::string& name) const;
  // The first option that was given and is not among `known`; "" if there is none. Names as in "--x".
  std::string given_besides(const std::vector<std::string>& known) const;

 private:
  friend std::optional<int> parse_command_line(CommandLine&, int, char**, const UnknownOption&);
  explicit CommandLine(std::shared_ptr<CLI::App> app) : app_(std::move(app)) {}
  Option* keep(CLI::Option* option) { return &options_.emplace_back(*option); }

  std::shared_ptr<CLI::App> app_;
  std::list<Option> options_;
  std::list<CommandLine> commands_;
};

// Returns the exit code when the program has to end now, after --help or an error; else nullopt.
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

// `parse` returns the number in a word, or nullopt when it is none.
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

// An option that takes a whole number in low..high. CLI11's own conversion would also accept 0x10, 010 for 8, spaces
// and words such as true. `value` may be a std::optional; otherwise --help shows its value as the default.
template <class Value, class Int = typename command_line::Plain<Value>::type>
CommandLine::Option* add_whole_number(CommandLine& app, const std::string& name, Value& value,
                                      std::type_identity_t<Int> low, std::type_identity_t<Int> high,
                                      const std::string& help) {
  return command_line::add<Int>(app, name, value, low, high, "a whole number", help, parse_whole<Int>);
}

// The same for a real number: 0.5, 1e-3. inf and nan are errors.
template <class Value>
CommandLine::Option* add_number(CommandLine& app, const std::string& name, Value& value, double low, double high,
                                const std::string& help) {
  return command_line::add<double>(app, name, value, low, high, "a number", help, parse_number);
}

}  // namespace mpanet
