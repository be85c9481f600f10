// mpanet-search in a build without SQLite.
#include "core/base/command_line.h"
#include "core/base/error.h"
#include "core/base/program.h"
#include "mpanet/training/provenance.h"

namespace {

using namespace mpanet;
constexpr const char* kProgram = "mpanet-search";

int run(int argc, char** argv) {
  CommandLine app("Finds the pictures that show the same person in a folder of pictures: not in this build.", kProgram);
  app.add_version([] { return version_text(kProgram); });
  const bool asked = argc == 2;  // --help and --version
  if (asked)
    if (const auto code = parse_command_line(app, argc, argv)) return *code;
  fail("this build has no SQLite (MPANET_SQLITE, Debian's libsqlite3-dev)");
}

}  // namespace

int main(int argc, char** argv) { return program_main(kProgram, argc, argv, run); }
