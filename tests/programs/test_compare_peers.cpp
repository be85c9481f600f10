// scripts/compare-peers with shell scripts in place of bench-step and of a Python that has PyTorch. The test peer_torch
// checks that PyTorch's step is the same method.
#include <doctest/doctest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "tests/support/process.h"
#include "tests/support/stand_ins.h"
#include "tests/support/text.h"

namespace {

// Shell: the value of --json among the arguments goes to $file.
constexpr const char* kFindFile = "while [ $# -gt 1 ]; do [ $1 = --json ] && file=$2; shift; done\n";

struct Machine : StandIns {
  Machine() {
    python(
        std::string(kFindFile) +
        "echo '[{\"peer\": \"PyTorch 9\", \"variant\": \"eager\", \"precision\": \"f32\", \"seconds_per_image\": 0.5},"
        " {\"peer\": \"PyTorch 9\", \"variant\": \"compiled\", \"precision\": \"f32\", \"error\": \"no compiler\"}]'"
        " >$file");
    write("build/bin/bench-step",
          "echo \"$@\" >" + *this / "asked" + "\n" + kFindFile +
              "echo '{\"precision\": \"f32\", \"conv\": \"native\", \"seconds_per_image\": 0.25}' >$file");
  }
  // `peer` handles requests for times; the real Python gets all others.
  void python(const std::string& peer) const {
    write("python", "case $1 in bench/peer_torch.py) shift;; *) exec python3 \"$@\";; esac\n" + peer);
  }
};

struct Run {
  int code;
  std::string out, err;
};

Run compare(const Machine& machine, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(),
                   {SOURCE_DIR "/scripts/compare-peers", "--python", machine / "python", "--build", machine / "build"});
  Process process(arguments);
  const int code = process.wait();
  return {code, process.out(), process.err()};
}

TEST_CASE("peers stand in one table beside bench-step, in one file too") {
  if (std::system("command -v python3 >/dev/null") != 0) {
    MESSAGE("skipped: no python3 here");
    return;
  }
  const Machine machine;
  const Run run = compare(machine, {"--batch", "4", "--size", "64x32", "--json", machine / "peers.json"});
  CHECK(run.code == 0);
  CHECK(mpanet::read_text(machine / "asked").starts_with("--device cpu --batch 4 --size 64x32 --depth 50"));
  CHECK(has(run.out, "mpanet                   native           f32            250.000        4.0"));
  CHECK(has(run.out, "PyTorch 9                eager            f32            500.000        2.0"));
  CHECK(has(run.out, "did not run: no compiler"));
  const nlohmann::json report = nlohmann::json::parse(mpanet::read_text(machine / "peers.json"));
  CHECK(report["batch"] == 4);
  REQUIRE(report["rows"].size() == 3);
  CHECK(report["rows"][0]["peer"] == "mpanet");
  CHECK(report["rows"][1]["seconds_per_image"] == 0.5);
}

TEST_CASE("a peer of which nothing ran is no success") {
  if (std::system("command -v python3 >/dev/null") != 0) {
    MESSAGE("skipped: no python3 here");
    return;
  }
  const Machine machine;
  machine.python(std::string(kFindFile) +
                 "echo '[{\"peer\": \"PyTorch 9\", \"variant\": \"eager\", \"precision\": \"f32\","
                 " \"error\": \"no driver\"}]' >$file");
  const Run run = compare(machine, {});
  CHECK(run.code == 3);
  CHECK(has(run.out, "did not run: no driver"));
  CHECK(has(run.out, "mpanet                   native           f32            250.000        4.0"));
}

TEST_CASE("a peer that is not installed is skipped aloud, one that breaks is an error") {
  const Machine machine;
  machine.python("echo 'skipped: this Python has no torch'; exit 77");
  Run run = compare(machine, {"--build", "none"});
  CHECK(run.code == 0);
  CHECK(run.out == "torch: skipped: this Python has no torch\n");
  machine.python("echo no room left; exit 1");
  run = compare(machine, {});
  CHECK(run.code == 2);
  CHECK(has(run.err, "no room left"));
  CHECK(has(run.err, "compare-peers: torch failed in f32"));
}

TEST_CASE("bad input is refused in one line") {
  const Machine machine;
  const auto refused = [&](const std::vector<std::string>& arguments, const std::string& words) {
    const Run run = compare(machine, arguments);
    return run.code == 2 && run.err == "compare-peers: " + words + "\n";
  };
  CHECK(refused({"--peers", "caffe"}, "--peers: expected one of torch, got 'caffe'"));
  CHECK(refused({"--precision", "f32,f8"}, "--precision: expected one of f32 bf16 f16, got 'f8'"));
  CHECK(refused({"--device", "emu"}, "--device: expected cpu, cuda or cuda:N, got 'emu'"));
  CHECK(refused({"--size", "64"}, "--size: expected HEIGHTxWIDTH, got '64'"));
  CHECK(refused({"--batch", "0"}, "--batch: expected a whole number from 1, got '0'"));
  CHECK(refused({"--steps"}, "--steps: expected a value"));
  CHECK(refused({"--python", "/nowhere/python"}, "--python: no such program: /nowhere/python"));
  CHECK(refused({"--build", "/nowhere"}, "--build: expected a folder with bin/bench-step, got '/nowhere'"));
  CHECK(refused({"--fast", "1"}, "unknown argument --fast (see --help)"));
}

}  // namespace
