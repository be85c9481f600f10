// scripts/kernel-report on ptxas's output: the table, and the exit code when a kernel spills or uses stack.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/process.h"
#include "tests/support/text.h"

namespace {

constexpr const char* kName =
    "_ZN6mpanet3f324cuda47_GLOBAL__N__669893e7_14_elementwise_cu_584e5ceb20relu_backward_kernelEPKfS4_PflbNS_5WriteE";

// ptxas's output for one kernel on one architecture.
std::string facts(const std::string& architecture, int registers, int stack, int spilled) {
  const std::string name = kName, bytes = std::to_string(spilled);
  return "ptxas info    : Compiling entry function '" + name + "' for '" + architecture + "'\n" +
         "ptxas info    : Function properties for " + name + "\n    " + std::to_string(stack) + " bytes stack frame, " +
         bytes + " bytes spill stores, " + bytes + " bytes spill loads\n" + "ptxas info    : Used " +
         std::to_string(registers) + " registers, used 1 barriers, 4096 bytes smem, 392 bytes cmem[0]\n";
}

struct Report {
  int code;
  std::string out, err;
};

Report report(const std::string& text, const std::string& filter = "") {
  const TemporaryFolder build;
  const std::string folder = build / "kernels/cuda/CMakeFiles/mpanet_cuda_f32.dir";
  std::filesystem::create_directories(folder);
  if (!text.empty()) std::ofstream(folder + "/elementwise.cu.o.ptxas") << text;
  // Without launch shapes there is no occupancy.
  std::filesystem::create_directories(build / "bin");
  std::ofstream(build / "bin/bench-kernels") << "#!/bin/sh\necho no emulation >&2\nexit 2\n";
  std::filesystem::permissions(build / "bin/bench-kernels", std::filesystem::perms::owner_all);
  Process process({SOURCE_DIR "/scripts/kernel-report", "--filter", filter, build.path()});
  const int code = process.wait();
  return {code, process.out(), process.err()};
}

TEST_CASE("a kernel by its own name, registers by architecture in their order") {
  const Report r = report(facts("sm_90", 31, 0, 0) + facts("sm_75", 18, 0, 0));
  CHECK(r.code == 0);
  CHECK(has(r.out, "f32 elementwise: relu_backward_kernel "));
  CHECK(r.out.find("sm_75") < r.out.find("sm_90"));
  CHECK(r.out.find("18 -") < r.out.find("31 -"));
  CHECK(has(r.out, " 4096 "));
  CHECK(has(r.out, "1 kernels"));
  CHECK(has(r.err, "no occupancy: no emulation"));
}

TEST_CASE("spills and stack fail, and are named") {
  const Report spills = report(facts("sm_80", 255, 0, 24) + facts("sm_90", 64, 0, 0));
  CHECK(spills.code == 1);
  CHECK(has(spills.err, "relu_backward_kernel on sm_80: 0 bytes of stack, 48 bytes spilled"));
  CHECK(!has(spills.err, "sm_90:"));
  const Report stack = report(facts("sm_80", 40, 16, 0));
  CHECK(stack.code == 1);
  CHECK(has(stack.err, "16 bytes of stack"));
}

TEST_CASE("nothing to report on is refused") {
  CHECK(report("").code == 2);
  CHECK(has(report("").err, "expected a build with the cuda backend"));
  CHECK(report(facts("sm_80", 40, 0, 0), "no such kernel").code == 2);
  CHECK(report(facts("sm_80", 40, 0, 0), "relu").code == 0);
  Process nameless({SOURCE_DIR "/scripts/kernel-report", ""});
  CHECK(nameless.wait() == 2);
  CHECK(nameless.err() == "kernel-report: expected the folder of a build, got an empty name\n");
}

}  // namespace
