// Scripts that read what other programs wrote: each wrong file or folder is one line and exit code 2, Ctrl-C is 130.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "core/base/file.h"
#include "tests/support/process.h"
#include "tests/support/text.h"

using mpanet::write_file;
namespace fs = std::filesystem;

namespace {

// A folder with a runtime, a build whose bench-step is `script`, and reports/.
class Counted : public TemporaryFolder {
 public:
  explicit Counted(const std::string& script) {
    for (const char* name : {"runtime", "build/bin", "reports"}) fs::create_directories(*this / name);
    write_file(*this / "runtime/libcudart.so", "");
    write_file(*this / "build/bin/bench-step", "#!/bin/sh\n" + script);
    fs::permissions(*this / "build/bin/bench-step", fs::perms::owner_all);
  }
  std::vector<std::string> command() const {
    return {"/usr/bin/env",   "PTXRUN_DIR=" + (*this / "runtime"),
            "SASSLOOPS_DIR=", SOURCE_DIR "/scripts/count-step",
            "--build",        *this / "build",
            "--reports",      *this / "reports",
            "--plan-batch",   "8"};
  }
};

void check_one_line(Process& process, const std::string& words) {
  CHECK(process.wait() == 2);
  const std::string err = process.err();
  CHECK_MESSAGE(has(err, words), err);
  CHECK_MESSAGE(std::count(err.begin(), err.end(), '\n') == 1, err);
}

TEST_CASE("count-step: reports that a runtime or a benchmark did not write") {
  const Counted folder("exit 1");
  const std::string report = folder / "reports/4-64x32-1.report.json",
                    numbers = folder / "reports/4-64x32-1.numbers.json", log = folder / "reports/4-64x32-1.log";
  const std::string right_report = R"({"kernels": []})", right_numbers = R"({"flops": 1, "ops": []})";
  const auto refused = [&](const std::string& a, const std::string& b, const std::string& c, const std::string& words) {
    CAPTURE(a);
    CAPTURE(b);
    write_file(report, a);
    write_file(numbers, b);
    write_file(log, c);
    Process process(folder.command());
    check_one_line(process, "count-step: " + words);
  };
  const std::string counts = ": expected the runtime's counts of launches, got ";
  for (const char* wrong :
       {"", "{", "[]", "7", R"({"kernels": 7})", R"({"kernels": [7]})", "\xff", R"({"kernels": [{"kernel": 7}]})",
        R"({"kernels": [{"kernel": "a", "launches": "1"}]})", R"({"kernels": [{"kernel": "a", "launches": NaN}]})"})
    refused(wrong, right_numbers, "", report + counts + "something else");
  refused("{}", right_numbers, "", report + counts + "some without 'kernels'");
  refused(R"({"kernels": [{"kernel": "a"}]})", right_numbers, "",
          report + counts + "some without 'thread_instructions_by_class'");
  for (const char* wrong :
       {"", "[]", R"({"flops": "1", "ops": []})", R"({"flops": 1, "ops": [{"op": 1, "flops": 2}]})"})
    refused(right_report, wrong, "", numbers + ": expected a benchmark's numbers, got something else");
  refused(right_report, "{}", "", numbers + ": expected a benchmark's numbers, got some without 'flops'");
  // A benchmark that did not profile has no ops; the next run fails.
  write_file(report, right_report);
  write_file(numbers, R"({"flops": 1})");
  write_file(log, "");
  Process next(folder.command());
  CHECK(next.wait() == 2);
  CHECK(has(next.err(), "\ncount-step: bench-step ended with 1: "));
  refused(right_report, right_numbers, "\xff", log + ": expected a benchmark's output, got something else");
}

TEST_CASE("count-step: Ctrl-C") {
  const Counted started("touch \"$0.runs\" && exec sleep 60");
  Process process(started.command());
  REQUIRE(process.wait_until([&] { return fs::exists(started / "build/bin/bench-step.runs"); }));
  process.send(SIGINT);
  CHECK(process.wait() == 130);
  CHECK(process.err() == "count-step: stopped\n");
}

TEST_CASE("ablation: the folder of runs that are no ablation's") {
  const TemporaryFolder folder;
  write_file(folder / "mpanet-train", "#!/bin/sh\nexit 7\n");
  fs::permissions(folder / "mpanet-train", fs::perms::owner_all);
  const auto run = [&](const std::string& out) {
    return std::vector<std::string>{
        SOURCE_DIR "/scripts/ablation", "--data", "x", "--out", folder / out, "--bin", folder.path()};
  };
  for (const char* name : {"lock", "last.safetensors", "summary.json"}) {
    const std::string out = std::string("of-") + name;
    fs::create_directory(folder / out);
    write_file(folder / (out + "/" + name), "");
    Process process(run(out));
    check_one_line(process, "ablation: --out " + (folder / out) + ": expected a folder for the folders of several ");
    CHECK(process.out() == "");
  }
  Process started(run("new"));
  CHECK(started.wait() == 7);
}

TEST_CASE("a name that is empty") {
  for (const auto& [command, words] :
       {std::pair(std::vector<std::string>{SOURCE_DIR "/scripts/docs-keys", "--build", ""},
                  "docs-keys: --build: expected the folder of a build"),
        {{SOURCE_DIR "/scripts/compare-peers", "--json", ""}, "compare-peers: --json: expected a file"}}) {
    Process process(command);
    check_one_line(process, words);
  }
}

}  // namespace
