// A program that was built for another processor ends with one line, before any other code of the program runs.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "tests/support/built.h"
#include "tests/support/process.h"

namespace {

TEST_CASE("a build for another processor: one line, exit code 2, and no static initialiser has run") {
  Process process({STAND_IN_PROGRAM});
  CHECK(process.wait() == 2);
  CHECK(process.out().empty());
  CHECK(process.err() ==
        "stand_in_program: this build needs a processor with avx5124vnniw, which this one lacks; a build with "
        "-DMPANET_NATIVE=OFF runs on others too\n");
}

#if !defined(__SANITIZE_ADDRESS__)  // AddressSanitizer must be loaded before any other library
TEST_CASE("the programs have this check, where AVX-512 can be hidden from a build that needs it") {
  const std::string library = PROGRAMS "/hide-avx512.so";
  const std::string flags = mpanet::read_text("/proc/cpuinfo");
  if (!mpanet::is_built_for("avx512f") || !std::filesystem::exists(library) ||
      flags.find(" cpuid_fault") == std::string::npos) {
    MESSAGE("skipped: this build does not need AVX-512, or it cannot be hidden here");
    return;
  }
  for (const std::string program : {"mpanet-train", "mpanet-eval", "bench-step"}) {
    CAPTURE(program);
    Process process({"/usr/bin/env", "LD_PRELOAD=" + library, PROGRAMS "/" + program, "--version"});
    CHECK(process.wait() == 2);
    CHECK(process.out().empty());
    const std::string line = process.err();
    CHECK(line.starts_with(program + ": this build needs a processor with avx512f, "));
    CHECK(std::count(line.begin(), line.end(), '\n') == 1);
  }
}
#endif

}  // namespace
