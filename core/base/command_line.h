// How all programs read their command line: --help exits with 0, a mistake with one line on stderr and 2.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>

#include "core/base/error.h"
#include "core/base/output.h"

namespace mpanet {

// What a program says about an option that it does not have, called with the option's name and the value after it; ""
// if it knows nothing.
using UnknownOption = std::function<std::string(const std::string& name, const std::string& value)>;

// The exit code to end with at once, or nothing: go on.
std::optional<int> parse_command_line(CLI::App& app, int argc, char** argv, const UnknownOption& hint = {});

}  // namespace mpanet
