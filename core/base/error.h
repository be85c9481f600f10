// Errors. A program ends differently on each of the two kinds:
//   UserError   bad input: a file, a key, a value. One line that says what, where, expected and got; exit code 2.
//   CheckError  a violated precondition inside the engine, such as mismatching shapes. It is a bug; exit code 1.
#pragma once
#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "core/base/quote.h"

namespace mpanet {

// Its text is one line without control characters: printable() (quote.h) escapes names and values in it.
struct UserError : std::runtime_error {
  explicit UserError(std::string_view message) : std::runtime_error(printable(message)) {}
};

struct CheckError : std::logic_error {
  using std::logic_error::logic_error;
};

// Implementations of fail() and check_failed(), no templates: the formatting code is compiled once.
[[noreturn]] void throw_user_error(fmt::string_view text, fmt::format_args args);
[[noreturn]] void throw_check_error(const char* function, const char* condition, fmt::string_view text,
                                    fmt::format_args args);

// Throws a UserError with a formatted message: fail("{}: expected {} rows, got {}", path, want, got).
template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> text, Args&&... args) {
  throw_user_error(text, fmt::make_format_args(args...));
}

template <class... Args>
[[noreturn]] void check_failed(const char* function, const char* condition, fmt::format_string<Args...> text,
                               Args&&... args) {
  throw_check_error(function, condition, text, fmt::make_format_args(args...));
}

// To be called in a catch (...) of a program. Prints one line "NAME: message" on stderr. Returns the exit code: 2 for
// UserError and exceptions of the standard library and the JSON parser, 1 for CheckError and everything else.
int report_exception(const char* program);

}  // namespace mpanet

// MPANET_CHECK(condition, "format {}", args...) throws CheckError unless the condition holds, in every build. The
// message begins with the function's name.
#define MPANET_CHECK(condition, ...)                                             \
  do {                                                                           \
    if (!(condition)) ::mpanet::check_failed(__func__, #condition, __VA_ARGS__); \
  } while (0)
