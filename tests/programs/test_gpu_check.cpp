// scripts/gpu-check with shell scripts in place of a build's programs and of NVIDIA's tools. They pass, fail, hang or
// are missing. Every step is listed with its outcome, and the exit code is right. The test gpu_check_emu runs the real
// programs under the emulation.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/process.h"
#include "tests/support/stand_ins.h"
#include "tests/support/text.h"

namespace {

// The real programs refuse an option that is given twice.
constexpr const char* kRefusesRepeats =
    "for a; do case $a in --*) echo $a;; esac; done | sort | uniq -d | grep . && exit 2\n";

// A build's programs in bin/, NVIDIA's tools in tools/.
struct Machine : StandIns {
  Machine() {
    for (const char* name :
         {"opcheck", "gradcheck", "parity", "traincheck", "bench-conv", "bench-kernels", "bench-step", "bench-train",
          "bench-ceilings", "bench-eval", "test_device_ranking", "test_device_embedding", "test_conv_plans_bf16",
          "test_conv_plans_f16", "test_conv_sums_bf16", "test_conv_sums_f16", "test_cuda_runtime"})
      program(name, fmt::format("{}echo \"{} says \\\\\\\"fine\\\\\\\"\"", kRefusesRepeats, name));
    card_with(0);
    tool("compute-sanitizer", "exit 0");
    tool("ncu", "echo Duration 1 us");
    tool("python3", "exit 1");  // a Python without torch and NVIDIA's packages
  }
  void program(const std::string& name, const std::string& script) const { write("bin/" + name, script); }
  // free: MiB of the card's memory; 0: it does not tell.
  void card_with(int free) const {
    tool("nvidia-smi", fmt::format("case \"$*\" in *memory*) echo {};; *) echo 'NVIDIA Card, 9.0, 580.1';; esac",
                                   free > 0 ? std::to_string(free) : "N/A"));
  }
  void tool(const std::string& name, const std::string& script) const { write("tools/" + name, script); }
};

struct Check {
  int code;
  std::string out, err;
  nlohmann::json report;
  std::map<std::string, std::string> outcomes;
  std::vector<std::string> order, files;
};

std::vector<std::string> command(const Machine& machine, const std::string& out, const std::string& device) {
  return {"/usr/bin/env",
          "PATH=" + machine / "tools" + ":/usr/bin:/bin",
          SOURCE_DIR "/scripts/gpu-check",
          "--device",
          device,
          "--build",
          machine.path(),
          "--out",
          out};
}

Check check(const Machine& machine, const std::vector<std::string>& arguments = {}, const char* device = "cuda") {
  const TemporaryFolder folder;
  std::vector<std::string> all = command(machine, folder.path(), device);
  all.insert(all.end(), arguments.begin(), arguments.end());
  Process process(all);
  Check c;
  c.code = process.wait();
  c.out = process.out();
  c.err = process.err();
  for (const auto& file : std::filesystem::directory_iterator(folder.path()))
    c.files.push_back(file.path().filename().string());
  std::sort(c.files.begin(), c.files.end());
  if (!std::filesystem::exists(folder / "gpu-check.json")) return c;
  c.report = nlohmann::json::parse(mpanet::read_text(folder / "gpu-check.json"));
  for (const nlohmann::json& step : c.report["steps"]) {
    c.outcomes[step["name"]] = step["outcome"];
    c.order.push_back(step["name"]);
  }
  return c;
}

size_t at(const Check& c, const std::string& name) {
  return static_cast<size_t>(std::find(c.order.begin(), c.order.end(), name) - c.order.begin());
}

TEST_CASE("on a card every step runs, the most telling ones first; one report and one archive come out") {
  Machine machine;
  machine.program("bench-kernels",
                  "while [ $# -gt 1 ]; do [ $1 = --json ] && echo '{\"timed\": true}' >$2; shift; done; exit 0");
  const Check c = check(machine, {"--commit", "abc123"});
  CHECK(c.code == 0);
  CHECK(c.files == std::vector<std::string>{"gpu-check.json", "logs.tgz"});
  CHECK(c.report["card"] == "NVIDIA Card");
  CHECK(c.report["compute_capability"] == "9.0");
  CHECK(c.report["commit"] == "abc123");
  CHECK(c.report["bench-kernels"]["timed"] == true);
  for (const auto& step : c.outcomes)
    CHECK_MESSAGE(step.second == (step.first.starts_with("peers") ? "skipped" : "passed"), step.first);
  const char* order[] = {"ceilings",
                         "opcheck-f32",
                         "opcheck-bf16",
                         "bench-step-f32",
                         "bench-step-bf16",
                         "bench-train-bf16",
                         "bench-step-f32-cudnn",
                         "peers-channels_last-bf16",
                         "bench-conv",
                         "bench-kernels",
                         "ncu-conv_forward",
                         "opcheck-f64",
                         "peers-compiled-bf16",
                         "sanitizer-memcheck"};
  for (size_t i = 1; i < std::size(order); i++) {
    CHECK_MESSAGE(at(c, order[i]) < c.order.size(), order[i]);
    CHECK_MESSAGE(at(c, order[i - 1]) < at(c, order[i]), order[i]);
  }
  for (const char* first : {"training-bf16", "training-tf32", "opcheck-tf32", "conv-sums-f16"})
    CHECK_MESSAGE(at(c, first) < at(c, "bench-step-f32"), first);
  CHECK(at(c, "recorded-f32") < at(c, "bench-step-f32"));
  CHECK(at(c, "conv-plans-bf16") < at(c, "bench-step-f32"));
  CHECK(std::count_if(c.order.begin(), c.order.end(), [](const auto& n) { return n.starts_with("ncu-"); }) == 5);
}

TEST_CASE("--quick runs the same steps") {
  const Machine machine;
  const Check whole = check(machine), quick = check(machine, {"--quick"});
  CHECK(quick.code == 0);
  for (const auto& step : quick.outcomes)
    CHECK_MESSAGE(step.second == (step.first.starts_with("peers") ? "skipped" : "passed"), step.first);
  for (const std::string& name : whole.order)  // but for the slowest
    CHECK_MESSAGE((quick.outcomes.count(name) || name.starts_with("parity-") || name == "training-f16"), name);
}

TEST_CASE("under the emulation what needs a GPU is skipped") {
  const Check c = check(Machine(), {}, "emu");
  CHECK(c.code == 0);
  CHECK(c.report["device"] == "emu");
  for (const char* name : {"opcheck-f64", "opcheck-f16", "gradcheck", "parity-tiny-f64", "parity-tiny-f32", "ranking",
                           "embeddings", "bench-eval", "training-f64", "training-bf16", "training-tf32", "opcheck-tf32",
                           "conv-sums-bf16", "bench-kernels", "bench-step-f32", "bench-train-bf16"})
    CHECK_MESSAGE(c.outcomes.at(name) == "passed", name);
  for (const char* name : {"ceilings", "recorded-f32", "bench-step-bf16-cudnn", "bench-conv", "peers-channels_last-f32",
                           "ncu-conv_forward", "runtime", "sanitizer-racecheck", "training-f32-cudnn"})
    CHECK_MESSAGE(c.outcomes.at(name) == "skipped", name);
}

TEST_CASE("a wrong result is exit code 1, and so is a check that crashes") {
  Machine machine;
  machine.program("opcheck", "[ $4 = f32 ] && echo sums differ && exit 1; exit 0");
  Check c = check(machine);
  CHECK(c.code == 1);
  CHECK(c.outcomes.at("opcheck-f32") == "failed");
  CHECK(c.outcomes.at("opcheck-bf16") == "passed");
  CHECK(has(c.out, "sums differ"));
  Machine crashing;
  crashing.program("gradcheck", "kill -SEGV $$");
  c = check(crashing);
  CHECK(c.code == 1);
  CHECK(c.outcomes.at("gradcheck") == "failed");
}

TEST_CASE("what is missing, refuses to run, hangs or finds no time is no wrong result") {
  Machine machine;
  machine.remove("bin/parity");
  machine.program("gradcheck", "echo out of memory; exit 2");
  machine.program("bench-step", "exit 1");
  Check c = check(machine);
  CHECK(c.code == 3);
  for (const char* name : {"parity-tiny-f64", "gradcheck", "bench-step-f32"})
    CHECK_MESSAGE(c.outcomes.at(name) == "not run", name);
  machine.program("opcheck", "exec sleep 100");
  c = check(machine, {"--seconds", "5"}, "emu");
  CHECK(c.code == 3);
  CHECK(c.outcomes.at("opcheck-f32") == "timed out");
  CHECK(c.outcomes.at("training-f32") == "no time");
  CHECK(c.outcomes.at("bench-step-f32") == "no time");
}

// The most programs that ran at a time; 0: a timed one ran beside another.
int most_at_a_time(const std::string& diary) {
  int running = 0, most = 0;
  bool timed = false;
  std::istringstream lines(diary);
  for (std::string line; std::getline(lines, line);) {
    if (line == "timed") timed = true;
    if (line == "timed end") timed = false;
    running += line.ends_with("end") ? -1 : 1;
    if (timed && running > 1) return 0;
    most = std::max(most, running);
  }
  return most;
}

TEST_CASE("checks run side by side as far as memory and cores allow, timings alone") {
  Machine machine;
  const std::string diary = machine / "diary";
  const auto note = [&](const std::string& word) {
    return "echo " + word + " >>" + diary + "; sleep 0.2; echo " + word + " end >>" + diary;
  };
  for (const char* name : {"opcheck", "traincheck", "test_conv_sums_f16", "test_cuda_runtime"})
    machine.program(name, note("check"));
  for (const char* name : {"bench-step", "bench-kernels", "bench-conv"}) machine.program(name, note("timed"));
  const struct { int free, cores, jobs; } cases[] = {{40000, 16, 4}, {40000, 6, 3}, {9000, 16, 1}, {0, 16, 1}};
  for (const auto& [free, cores, jobs] : cases) {
    CAPTURE(free);
    CAPTURE(cores);
    machine.card_with(free);
    machine.tool("nproc", fmt::format("echo {}", cores));
    mpanet::write_file(diary, "");
    CHECK(check(machine).code == 0);
    CHECK(most_at_a_time(mpanet::read_text(diary)) == jobs);
  }
}

TEST_CASE("PyTorch's slow compilation takes no other step's time") {
  Machine machine;
  machine.tool(
      "python3",
      "case \"$*\" in *compiled*) exec sleep 100;; *peer_*) exit 77;; *nvidia*) exit 1;; *'1 + 1'*) echo 2;; esac");
  const Check c = check(machine, {"--seconds", "10"});
  CHECK(c.code == 3);
  for (const char* name :
       {"peers-channels_last-f32", "peers-channels_last-bf16", "bench-kernels", "opcheck-f64", "recorded-f16"})
    CHECK_MESSAGE(c.outcomes.at(name) == "passed", name);
  CHECK(c.outcomes.at("peers-compiled-bf16") == "timed out");
}

TEST_CASE("sanitizers run one after the other; only what they find is wrong") {
  Machine machine;
  const std::string diary = machine / "diary";
  machine.tool("compute-sanitizer", "echo $2 >>" + diary + "; sleep 0.1; echo $2 >>" + diary +
                                        "; [ $2 = racecheck ] && exit 1; [ $2 = synccheck ] && exit 124; exit 0");
  Check c = check(machine);
  CHECK(c.code == 0);
  CHECK(mpanet::read_text(diary).starts_with("memcheck\nmemcheck\nracecheck\nracecheck\nsynccheck\nsynccheck\n"));
  CHECK(c.outcomes.at("sanitizer-memcheck") == "passed");
  CHECK(c.outcomes.at("sanitizer-racecheck") == "not run");  // it could not start, say
  CHECK(c.outcomes.at("sanitizer-synccheck") == "timed out");
  CHECK(c.outcomes.at("sanitizer-initcheck") == "passed");
  machine.tool("compute-sanitizer", "[ $2 = racecheck ] && exit 9; exit 0");
  c = check(machine);
  CHECK(c.code == 1);
  CHECK(c.outcomes.at("sanitizer-racecheck") == "failed");
}

TEST_CASE("a profiler that may not read the card is asked once; it decides nothing") {
  Machine machine;
  machine.tool("ncu", "echo ERR_NVGPUCTRPERM; exit 1");
  const Check c = check(machine);
  CHECK(c.code == 0);
  CHECK(c.outcomes.at("ncu-conv_forward") == "not run");
  CHECK(c.outcomes.at("ncu-pattern_forward") == "skipped");
}

TEST_CASE("the vendor's libraries: absent, failing, and giving other results") {
  Machine machine;
  machine.program("bench-step", "case \"$*\" in *cudnn*) echo 'this build has no cuDNN'; exit 2;; esac");
  machine.program("traincheck",
                  "case \"$*\" in *cudnn*) echo cudnnCreate failed; exit 1;;"
                  " *cublas*) echo DIFFERENT; exit 1;; esac");
  const Check c = check(machine);
  CHECK(c.code == 1);
  CHECK(c.outcomes.at("bench-step-f32-cudnn") == "skipped");
  CHECK(c.outcomes.at("training-f32-cudnn") == "not run");
  CHECK(c.outcomes.at("training-f64-cublas") == "failed");
}

TEST_CASE("whoever stops it has what was found until then") {
  Machine machine;
  machine.program("bench-kernels", "exec sleep 100");
  const TemporaryFolder folder;
  Process process(command(machine, folder.path(), "emu"));
  REQUIRE(process.wait_until([&] { return has(process.out(), "\nbench-conv "); }));
  process.send(SIGTERM);
  CHECK(process.wait() == 130);
  const nlohmann::json report = nlohmann::json::parse(mpanet::read_text(folder / "gpu-check.json"));
  CHECK(report["steps"].back()["name"] == "bench-conv");
  CHECK(std::filesystem::exists(folder / "logs.tgz"));
}

TEST_CASE("bad input is refused in one line") {
  Machine machine;
  const auto refused = [&](const std::vector<std::string>& arguments, const std::string& words) {
    const Check c = check(machine, arguments);
    return c.code == 2 && has(c.err, "gpu-check: ") && has(c.err, words) && c.err.find('\n') == c.err.size() - 1;
  };
  CHECK(refused({"--device", "gpu"}, "expected cuda, cuda:N or emu, got 'gpu'"));
  CHECK(refused({"--seconds", "soon"}, "expected a whole number from 1, got 'soon'"));
  CHECK(refused({"--packages", "/nowhere"}, "expected a folder with include/, got '/nowhere'"));
  CHECK(refused({"--build", "/nowhere"}, "expected a folder with bin/, got '/nowhere'"));
  CHECK(refused({"--commit", "a b"}, "expected a commit's hash, got 'a b'"));
  CHECK(refused({"--fast"}, "unknown argument --fast"));
  machine.tool("nvidia-smi", "echo 'No devices were found'; exit 6");
  CHECK(refused({}, "nvidia-smi: No devices were found"));
}

}  // namespace
