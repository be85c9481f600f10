// Command lines of all programs: --help exits with 0, an error prints one line on stderr and exits with 2.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>

#include "core/base/error.h"
#include "core/base/number.h"
#include "core/base/quote.h"

namespace mpanet {

// A program's hint about an unknown option. Called with the option's name and the word after it. Returns "" without a
// hint.
using UnknownOption = std::function<std::string(const std::string& name, const std::string& value)>;

// Returns the exit code when the program has to end now, after --help or an error; else nullopt.
std::optional<int> parse_command_line(CLI::App& app, int argc, char** argv, const UnknownOption& hint = {});

namespace command_line {

template <class T>
struct Plain {
  using type = T;
};
template <class T>
struct Plain<std::optional<T>> {
  using type = T;
};

// `parse` returns the number in a text, or nullopt when it is none or out of range.
template <class Value, class Parse>
CLI::Option* number(CLI::App& app, const std::string& name, Value& value, const std::string& allowed,
                    const std::string& help, Parse parse) {
  auto* option = app.add_option_function<std::string>(
      name,
      [&value, name, allowed, parse](const std::string& text) {
        const auto number = parse(text);
        if (!number) throw CLI::ValidationError(name, fmt::format("expected {}, got {}", allowed, quote(text)));
        value = *number;
      },
      help);
  if constexpr (std::is_arithmetic_v<Value>) option->default_str(fmt::format("{}", value));
  return option;
}

}  // namespace command_line

// An option that takes a whole number in low..high. CLI11's own conversion would also accept 0x10, 010 for 8, spaces
// and words such as true. `value` may be a std::optional; otherwise --help shows its value as the default.
template <class Value, class Int = typename command_line::Plain<Value>::type>
CLI::Option* add_whole_number(CLI::App& app, const std::string& name, Value& value, std::type_identity_t<Int> low,
                              std::type_identity_t<Int> high, const std::string& help) {
  const std::string range = fmt::format("{}..{}", low, high);
  return command_line::number(app, name, value, "a whole number in " + range, help,
                              [low, high](const std::string& text) -> std::optional<Int> {
                                const auto number = parse_whole<Int>(text);
                                return number && *number >= low && *number <= high ? number : std::nullopt;
                              })
      ->type_name(high < std::numeric_limits<Int>::max() ? range : "N");
}

// The same for a real number: 0.5, 1e-3. inf and nan are errors.
inline CLI::Option* add_number(CLI::App& app, const std::string& name, double& value, double low, double high,
                               const std::string& help) {
  const std::string range = fmt::format("{}..{}", low, high);
  return command_line::number(app, name, value, "a number in " + range, help,
                              [low, high](const std::string& text) -> std::optional<double> {
                                const auto number = parse_number(text);
                                return number && *number >= low && *number <= high ? number : std::nullopt;
                              })
      ->type_name(range);
}

}  // namespace mpanet
