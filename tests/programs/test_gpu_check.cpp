// scripts/gpu-check with programs that pass, fail, hang and are missing: every step is listed with what became of it.
// That the real ones pass under the emulation is another test's matter (gpu_check_emu).
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/support/process.h"
#include "tests/support/text.h"

namespace {

// A build's folder with stand-ins for its programs.
class Build {
 public:
  Build() {
    std::filesystem::create_directories(folder_ / "bin");
    for (const char* name : {"opcheck", "gradcheck", "parity", "traincheck", "bench-kernels", "bench-step"})
      program(name, "echo \"" + std::string(name) + " says \\\\\\\"fine\\\\\\\"\"");
  }
  void program(const std::string& name, const std::string& script) {
    const std::string path = folder_ / ("bin/" + name);
    std::ofstream(path) << "#!/bin/sh\n" << script << "\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  }
  void remove(const std::string& name) { std::filesystem::remove(folder_ / ("bin/" + name)); }
  std::string path() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

struct Check {
  int code;
  std::string out, err;
  nlohmann::json report;
  std::map<std::string, std::string> outcomes;
};

Check check(const Build& build, std::vector<std::string> arguments = {}) {
  const TemporaryFolder folder;
  arguments.insert(arguments.begin(), {SOURCE_DIR "/scripts/gpu-check", "--device", "emu", "--build", build.path(),
                                       "--out", folder.path()});
  Process process(arguments);
  Check c{process.wait(), process.out(), process.err(), {}, {}};
  if (!std::filesystem::exists(folder / "gpu-check.json")) return c;
  c.report = nlohmann::json::parse(mpanet::read_text(folder / "gpu-check.json"));
  for (const nlohmann::json& step : c.report["steps"]) c.outcomes[step["name"]] = step["outcome"];
  return c;
}

TEST_CASE("all steps that need no GPU pass, the others are skipped") {
  Build build;
  build.program("bench-kernels",
                "while [ $# -gt 1 ]; do [ $1 = --json ] && echo '{\"timed\": false}' >$2; shift; done");
  const Check c = check(build);
  CHECK(c.code == 0);
  CHECK(c.report["device"] == "emu");
  CHECK(c.report["bench-kernels"]["timed"] == false);
  for (const char* name : {"opcheck-f64", "opcheck-f16", "gradcheck", "parity-tiny-f64", "parity-tiny-f32",
                           "training-f64", "training-bf16", "bench-kernels", "bench-step-f32"})
    CHECK_MESSAGE(c.outcomes.at(name) == "passed", name);
  for (const char* tool : {"memcheck", "racecheck", "synccheck", "initcheck"})
    CHECK_MESSAGE(c.outcomes.at(std::string("sanitizer-") + tool) == "skipped", tool);
  CHECK(c.outcomes.at("training-f32-cudnn") == "skipped");
}

TEST_CASE("a failing, a hanging and a missing program are told, and what there was no time for") {
  Build build;
  build.program("opcheck", "[ $4 = f32 ] && echo sums differ && exit 1; exit 0");
  build.program("traincheck", "exec sleep 100");
  build.remove("parity");
  const Check c = check(build, {"--seconds", "4", "--quick"});
  CHECK(c.code == 1);
  CHECK(c.outcomes.at("opcheck-f64") == "passed");
  CHECK(c.outcomes.at("opcheck-f32") == "failed");
  CHECK(c.outcomes.at("gradcheck") == "passed");
  CHECK(c.outcomes.at("parity-tiny-f64") == "failed");
  CHECK(c.outcomes.at("training-f64") == "timed out");
  CHECK(c.outcomes.at("training-bf16") == "no time");
  CHECK(c.outcomes.at("bench-step-f32") == "no time");
  CHECK(has(c.out, "sums differ"));
}

TEST_CASE("bad input is refused in one line") {
  const Build build;
  const auto refused = [&](const std::vector<std::string>& arguments, const std::string& words) {
    const Check c = check(build, arguments);
    return c.code == 2 && has(c.err, "gpu-check: ") && has(c.err, words) && c.err.find('\n') == c.err.size() - 1;
  };
  CHECK(refused({"--device", "gpu"}, "expected cuda, cuda:N or emu, got 'gpu'"));
  CHECK(refused({"--seconds", "soon"}, "expected a whole number from 1, got 'soon'"));
  CHECK(refused({"--packages", "/nowhere"}, "expected a folder with include/, got '/nowhere'"));
  CHECK(refused({"--build", "/nowhere"}, "expected a build's folder with bin/, got '/nowhere'"));
  CHECK(refused({"--fast"}, "unknown argument --fast"));
}

}  // namespace
