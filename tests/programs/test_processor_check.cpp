// A program that was built for another processor ends with one line, before any other code of the program runs.
#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <utility>
#include <vector>

#include "tests/support/built.h"
#include "tests/support/process.h"
#include "tests/support/text.h"

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
  if (!mpanet::is_built_for("avx512f") || !std::filesystem::exists(library) || !mpanet::processor_has("cpuid_fault")) {
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

TEST_CASE("hide-avx512.so") {
  if (!std::filesystem::exists(PROGRAMS "/hide-avx512.so") || !mpanet::processor_has("cpuid_fault")) {
    MESSAGE("skipped: no cpuid_fault here");
    return;
  }
  const auto run = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"/usr/bin/env", "LD_PRELOAD=" PROGRAMS "/hide-avx512.so"});
    Process process(arguments);
    const int ended = process.wait();
    return std::pair(ended, process.out());
  };
  CHECK(run({"/bin/sh", "-c", "/bin/sh -c 'exit 5'"}).first == 5);
  // Signals that it did not cause end programs as before.
  CHECK(run({"/bin/sh", "-c", "kill -SEGV $$; exit 5"}).first == 128 + SIGSEGV);
#if !defined(__SANITIZE_ADDRESS__)  // AddressSanitizer must be loaded before any other library
  const auto version = run({PROGRAMS "/bench-step", "--version"});
  if (mpanet::is_built_for("avx512f")) {  // such a build refuses to run
    CHECK(version.first == 2);
    return;
  }
  CHECK(version.first == 0);
  CHECK(has(version.second, "panel kernels AVX2"));
  if (has(version.second, "oneDNN level")) CHECK(has(version.second, "oneDNN level 0x7\n"));
#endif
}

}  // namespace
