// How all programs read their command line: --help exits with 0, a mistake with one line on stderr and 2.
#pragma once
#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "core/base/error.h"
#include "core/base/output.h"

namespace mpanet {

// The exit code to end with at once; nothing when the program goes on.
inline std::optional<int> parse_command_line(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
    return {};
  } catch (const CLI::Success& e) {  // --help, --version
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    note(fmt::format("{}: {} (see --help)", app.get_name(), e.what()));
    return 2;
  }
}

}  // namespace mpanet
