// A program whose build is for another processor ends with one line, before any of its own code runs.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "core/base/processor_check.h"
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

TEST_CASE("the programs have this check, where AVX-512 can be hidden from a build that needs it") {
  const auto needs = [](std::string_view name) {
    for (const char* const* wanted = mpanet::kBuiltFor; *wanted != nullptr; wanted++)
      if (*wanted == name) return true;
    return false;
  };
  const std::string library = PROGRAMS "/hide-avx512.so";
  const std::string flags = mpanet::read_text("/proc/cpuinfo");
  if (!needs("avx512f") || !std::filesystem::exists(library) || flags.find(" cpuid_fault") == std::string::npos) {
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

}  // namespace
