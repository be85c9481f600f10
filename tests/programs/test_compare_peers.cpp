// scripts/compare-peers with shell scripts in place of bench-step and of a Python that has the peers. The test
// peer_torch checks that PyTorch's step is the same method.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/support/built.h"
#include "tests/support/process.h"
#include "tests/support/stand_ins.h"
#include "tests/support/text.h"

namespace {

namespace fs = std::filesystem;

// Shell: sets $file, $variant, $what and $export to the values of --json, --variants, --what and --export, and $round
// to the number with which the name of the --json file begins.
const std::string kArguments = R"(what=embed
for word; do
  case $before in
    --json) file=$word round=$(basename "$word" | cut -d- -f1) ;;
    --variants) variant=$word ;;
    --what) what=$word ;;
    --export) export=$word ;;
  esac
  before=$word
done
)";

// Shell: `row PEER MEMBERS` writes one row to $file, with these JSON members besides peer, variant and precision.
const std::string kRow =
    R"(row() { echo '[{"peer": "'$1'", "variant": "'$variant'", "precision": "f32", '"$2"'}]' >"$file"; }
)";

struct Machine : StandIns {
  Machine() {
    python(R"([ -z "$export" ] || exit 0
case $what-$variant in
  train-eager) row Torch '"seconds_per_image": 0.5, "peak_mib": 400' ;;
  train-channels_last) row Torch '"seconds_per_image": 0.4, "peak_mib": 500' ;;
  *compiled) row Torch '"error": "no compiler"' ;;
  *) row Torch '"seconds_per_image": 0.2, "peak_mib": 300' ;;
esac)",
           R"(case $variant in
  openvino) row OpenVINO '"seconds_per_image": 0.'$((4 - round))', "peak_mib": 100' ;;
  *) echo "skipped: this Python has no onnxruntime"; exit 77 ;;
esac)");
    write("build/bin/bench-step", "echo \"$LD_PRELOAD $@\" >>" + *this / "asked" + "\n" + kArguments +
                                      "[ -n \"$file\" ] || { echo 'instruction_set: x86-64; AVX3'; exit; }\n"
                                      "echo '{\"precision\": \"f32\", \"conv\": \"native\", \"seconds_per_image\": "
                                      "0.25, \"peak_mib\": 200}' >$file");
    write("tools/lscpu", "echo 'Flags:   fpu avx2'");
  }
  // An interpreter that runs the scripts `torch` and `onnx` instead of bench/peer_torch.py and bench/peer_onnx.py. It
  // passes all other arguments to the real Python.
  void python(const std::string& torch, const std::string& onnx) const { write("python", interpreter(torch, onnx)); }
  static std::string interpreter(const std::string& torch, const std::string& onnx) {
    return kArguments + kRow + "case $1 in\nbench/peer_torch.py)\n" + torch + "\n;;\nbench/peer_onnx.py)\n" + onnx +
           "\n;;\n*) exec " + real_python() + " \"$@\" ;;\nesac";
  }
  // By its path, because some tests put another python3 into PATH.
  static std::string real_python() {
    for (const char* path : {"/usr/bin/python3", "/usr/local/bin/python3"})
      if (fs::exists(path)) return path;
    return "python3";
  }
};

struct Run {
  int code;
  std::string out, err;
};

std::vector<std::string> command(const Machine& machine, const std::vector<std::string>& arguments) {
  std::vector<std::string> all = {"/usr/bin/env", fmt::format("PATH={}:{}", machine / "tools", std::getenv("PATH")),
                                  SOURCE_DIR "/scripts/compare-peers", "--build", machine / "build"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return all;
}

Run compare(const Machine& machine, std::vector<std::string> arguments, bool with_python = true) {
  if (with_python) arguments.insert(arguments.begin(), {"--python", machine / "python"});
  Process process(command(machine, arguments));
  const int code = process.wait();
  return {code, process.out(), process.err()};
}

bool no_python() {
  const bool missing = std::system("command -v python3 >/dev/null") != 0;
  if (missing) MESSAGE("skipped: no python3 here");
  return missing;
}

TEST_CASE("peers stand in tables beside bench-step, with ratios to the best of them, in one file too") {
  if (no_python()) return;
  const Machine machine;
  const Run run = compare(machine, {"--batch", "4", "--size", "64x32", "--threads", "2", "--rounds", "2", "--json",
                                    machine / "peers.json"});
  CHECK(run.code == 0);
  CHECK(has(mpanet::read_text(machine / "asked"),
            " --what train --device cpu --batch 4 --size 64x32 --depth 50 --classes 395 --precision f32 --steps 5 "
            "--threads 2 --no-profile --json "));
  CHECK(has(run.out,
            "training step of MPANet, ResNet 50, 4 pictures of 64x32 on cpu, 2 threads, all instructions; median of 5 "
            "steps, fastest of 2 rounds\n"));
  CHECK(has(run.out, "mpanet                   native           f32            250.000        4.0       200\n"));
  CHECK(has(run.out, "Torch                    eager            f32            500.000        2.0       400\n"));
  CHECK(has(run.out, "did not run: no compiler"));
  CHECK(has(run.out,
            "f32: 1.60 times the speed of the best peer (Torch channels_last, 1.60 to 1.60 in single rounds)\n"));
  CHECK(has(run.out, "f32: 0.50 times the peak memory of the smallest peer (Torch eager)\n"));
  // OpenVINO takes 0.3 s in the first round and 0.2 s in the second; eager PyTorch comes first of equals.
  CHECK(has(run.out, "OpenVINO                 openvino         f32            200.000        5.0       100\n"));
  CHECK(has(run.out, "f32: 0.80 times the speed of the best peer (Torch eager, 0.80 to 0.80 in single rounds)\n"));
  CHECK(has(run.out, "f32: 2.00 times the peak memory of the smallest peer (OpenVINO openvino)\n"));
  CHECK(has(run.out, "onnx: skipped: this Python has no onnxruntime\n"));
  const nlohmann::json report = nlohmann::json::parse(mpanet::read_text(machine / "peers.json"));
  CHECK(report["batch"] == 4);
  REQUIRE(report["rows"].size() == 10);
  CHECK(report["rows"][0]["peer"] == "mpanet");
  CHECK(report["rows"][1]["seconds_per_image"] == 0.5);
  CHECK(report["rows"][9]["rounds"]["1"] == 0.3);
  CHECK(report["ratios"][1]["speed"] == doctest::Approx(0.8));
}

TEST_CASE("what failed or is missing is not tried again in the next round") {
  if (no_python()) return;
  const Machine machine;
  const Run run = compare(machine, {"--rounds", "3"});
  CHECK(run.code == 0);
  for (const std::string what : {"train by compiled (torch)", "embed by onnxruntime (onnx)"}) {
    CHECK(has(run.err, "round 1: " + what));
    CHECK(!has(run.err, "round 2: " + what));
  }
  CHECK(has(run.err, "round 3: embed by openvino (onnx)"));
}

TEST_CASE("only what is asked for runs") {
  if (no_python()) return;
  const Machine machine;
  Run run = compare(machine, {"--what", "train", "--variants", "eager,openvino", "--rounds", "1"});
  CHECK(run.err == "round 1: train by mpanet in f32\nround 1: train by eager (torch) in f32\n");
  run = compare(machine, {"--what", "embed", "--peers", "onnx", "--rounds", "1", "--build", "none"});
  CHECK(run.err ==
        "embeddings by PyTorch, to compare with\nround 1: embed by onnxruntime (onnx) in f32\n"
        "round 1: embed by openvino (onnx) in f32\n");
  run = compare(machine, {"--device", "cuda"});  // by default one round of a variant without compilation
  CHECK(run.err == "round 1: train by mpanet in f32\nround 1: train by channels_last (torch) in f32\n");
}

TEST_CASE("peers of which nothing ran are no success") {
  if (no_python()) return;
  const Machine machine;
  machine.python("[ -n \"$export\" ] || row Torch '\"error\": \"no driver\"'", "exit 77");
  const Run run = compare(machine, {});
  CHECK(run.code == 3);
  CHECK(has(run.out, "did not run: no driver"));
  CHECK(has(run.out, "mpanet                   native           f32            250.000        4.0"));
  CHECK(!has(run.out, "times"));
}

TEST_CASE("a peer that is not installed is skipped aloud, one that breaks is an error") {
  if (no_python()) return;
  const Machine machine;
  machine.python("echo 'skipped: this Python has no torch'; exit 77", "exit 9");
  Run run = compare(machine, {"--build", "none", "--json", machine / "none.json"});
  CHECK(run.code == 0);
  CHECK(nlohmann::json::parse(mpanet::read_text(machine / "none.json"))["skipped"].size() == 2);
  CHECK(run.out == "onnx: skipped: this Python has no torch\ntorch: skipped: this Python has no torch\n");
  machine.python("echo no room left; exit 1", "");
  run = compare(machine, {});
  CHECK(run.code == 2);
  CHECK(has(run.err, "no room left"));
  CHECK(has(run.err, "compare-peers: torch failed"));
  machine.python("", "");
  run = compare(machine, {});
  CHECK(run.code == 2);
  CHECK(has(run.err, "compare-peers: torch wrote no times in f32\n"));
}

// Puts a python3 into PATH whose `-m venv` makes an interpreter with the peers. `pip`: what its `-m pip` runs.
void installs(const Machine& machine, const std::string& pip) {
  machine.write("new/python", "[ \"$2\" != pip ] || { echo \"$@\" >>" + machine / "pip" + "; " + pip +
                                  "; exit; }\nexec " + machine / "python" + " \"$@\"");
  machine.write(
      "tools/python3",
      "if [ \"$1 $2\" = '-m venv' ]; then mkdir -p $3/bin && cp " + machine / "new/python" +
          " $3/bin/python; exit; fi\ncase $1 in bench/*) echo 'skipped: nothing here'; exit 77;; esac\nexec " +
          Machine::real_python() + " \"$@\"");
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  return names;
}

TEST_CASE("the peers are installed once") {
  if (no_python()) return;
  const Machine machine;
  installs(machine, "exit 0");
  fs::create_directory(machine / "home");
  const std::vector<std::string> arguments = {"--environment", machine / "home/peers", "--rounds", "1"};
  Run run = compare(machine, arguments, false);
  CHECK(run.code == 0);
  CHECK(has(run.err, "compare-peers: installing torch numpy onnx onnxruntime openvino into " + machine / "home/peers"));
  CHECK(has(mpanet::read_text(machine / "pip"), "torch numpy onnx onnxruntime openvino\n"));
  CHECK(has(run.out, "Torch                    channels_last"));
  CHECK(names_in(machine / "home") == std::vector<std::string>{"peers"});
  fs::remove(machine / "pip");
  run = compare(machine, arguments, false);
  CHECK(has(run.out, "Torch                    channels_last"));
  CHECK(!fs::exists(machine / "pip"));
}

TEST_CASE("without a network one line says so, and nothing is left") {
  if (no_python()) return;
  const Machine machine;
  installs(machine, "echo 'ERROR: No matching distribution found for torch'; exit 1");
  fs::create_directory(machine / "home");
  const Run run = compare(machine, {"--environment", machine / "home/peers", "--rounds", "1"}, false);
  CHECK(run.code == 0);
  CHECK(has(
      run.err,
      "compare-peers: not installed, which needs the network: ERROR: No matching distribution found for torch; what "
      "python3 has is timed\n"));
  CHECK(has(run.out, "torch: skipped: nothing here\n"));
  CHECK(has(run.out, "mpanet                   native           f32            250.000        4.0"));
  CHECK(names_in(machine / "home").empty());
}

TEST_CASE("Ctrl-C leaves no part of an environment") {
  const Machine machine;
  installs(machine, "touch " + machine / "started" + "; sleep 0.3; touch " + machine / "ended" + "; exit 1");
  fs::create_directory(machine / "home");
  for (const int signal : {SIGHUP, SIGINT, SIGTERM}) {
    Process process(command(machine, {"--environment", machine / "home/peers"}));
    CHECK(process.wait_until([&] { return fs::exists(machine / "started"); }));
    process.send(signal);
    CHECK(process.wait() == 128 + signal);
    CHECK(process.out() == "");
    CHECK(fs::exists(machine / "ended"));  // no program outlives the script
    CHECK(names_in(machine / "home").empty());
    for (const char* name : {"started", "ended"}) fs::remove(machine / name);
  }
}

TEST_CASE("AVX-512 is hidden where that is possible and needed") {
  if (no_python()) return;
  const Machine machine;
  const std::vector<std::string> arguments = {"--instruction-set", "avx2", "--what", "train", "--rounds", "1"};
  Run run = compare(machine, arguments);
  CHECK(run.code == 0);
  CHECK(has(run.err, "--instruction-set avx2: this processor has no AVX-512, so there is nothing to hide\n"));
  CHECK(has(run.out, ", all instructions; "));
  machine.write("tools/lscpu", "echo 'Flags:   fpu avx2 avx512f'");
  run = compare(machine, arguments);
  CHECK(run.code == 2);
  CHECK(
      run.err ==
      "compare-peers: --instruction-set avx2: this processor cannot hide AVX-512 (no cpuid_fault in /proc/cpuinfo)\n");
  machine.write("tools/lscpu", "echo 'Flags:   fpu avx2 avx512f cpuid_fault'");
  run = compare(machine, arguments);
  CHECK(run.code == 2);
  CHECK(has(run.err, "expected " + machine / "build/bin/hide-avx512.so" + "; build the target hide-avx512\n"));
  if (!mpanet::processor_has("cpuid_fault")) {
    MESSAGE("skipped: no cpuid_fault here");
    return;
  }
  fs::copy(PROGRAMS "/hide-avx512.so", machine / "build/bin/hide-avx512.so");
  run = compare(machine, arguments);
  CHECK(run.code == 0);
  CHECK(has(run.out, ", avx2 instructions; "));
  CHECK(has(mpanet::read_text(machine / "asked"), machine / "build/bin/hide-avx512.so" + " --what train"));
  machine.write("build/bin/bench-step", "echo 'instruction_set: x86-64 avx2 avx512f; panel kernels AVX2'");
  run = compare(machine, arguments);
  CHECK(run.code == 2);
  CHECK(
      has(run.err, "compare-peers: --build: expected a build with -DMPANET_NATIVE=OFF, got one whose compiler used "));
}

// Runs compare-peers with a stand-in for PyTorch in a folder by bash, which sets up files and redirections.
Run in_shell(const Machine& machine, const std::string& line) {
  Process process({"/bin/bash", "-c",
                   "cd " + machine.path() +
                       " && compare() { " SOURCE_DIR "/scripts/compare-peers --build none --what train "
                       "--variants eager --rounds 1 --python ./python \"$@\"; }; " +
                       line});
  const int code = process.wait();
  return {code, process.out(), process.err()};
}

TEST_CASE("the numbers are written before the table, to a file, a pipe or stdout") {
  if (no_python()) return;
  const Machine machine;
  const std::string ran = "round 1: train by eager (torch) in f32\n";
  for (const std::string line : {"compare --json a.json >/dev/full", "set -o pipefail; compare --json a.json | true"}) {
    const Run run = in_shell(machine, line);
    const bool full = has(line, "full");
    CHECK(run.code == (full ? 2 : 0));
    CHECK(run.err == ran + (full ? "peers_table.py: stdout: No space left on device\n" : ""));
    CHECK(nlohmann::json::parse(mpanet::read_text(machine / "a.json"))["rows"].size() == 1);
    fs::remove(machine / "a.json");
  }
  Run run = in_shell(machine, "compare --json /dev/full");
  CHECK(run.code == 2);
  CHECK(run.err == ran + "peers_table.py: --json: /dev/full: No space left on device\n");
  CHECK(has(run.out, "Torch                    eager"));
  run = in_shell(machine, "compare --json /dev/stdout");
  CHECK(run.code == 0);
  CHECK(run.out.rfind("{\n \"device\": \"cpu\"", 0) == 0);
  CHECK(has(run.out, "Torch                    eager"));
}

TEST_CASE("files that cannot be used are refused before anything runs") {
  if (no_python()) return;
  const Machine machine;
  const auto refused = [&](const std::string& line, const std::string& words) {
    const Run run = in_shell(machine, line);
    return run.code == 2 && run.err == "compare-peers: " + words + "\n";
  };
  CHECK(refused("compare --json build", "--json: expected a file that can be written, got " + machine / "build"));
  for (const std::string name : {"nowhere/a.json", "new/"})
    CHECK(refused("compare --json " + name,
                  "--json: expected a file in a folder that can be written, got " + machine / name));
  CHECK(refused("TMPDIR=/nowhere compare", "TMPDIR: expected a folder that can be written and has room, got /nowhere"));
  CHECK(refused("compare --python /bin/false", "--python: expected Python 3.6 or newer, got /bin/false"));
  CHECK(refused("compare --help >/dev/full", "stdout: cannot write"));
}

TEST_CASE("peers_table.py refuses damaged files") {
  if (no_python()) return;
  const Machine machine;
  const auto refused = [&](const std::string& name, const std::string& content, const std::string& words) {
    const Run run = in_shell(machine, "printf '" + content + "' >" + name +
                                          "; exec python3 " SOURCE_DIR
                                          "/scripts/peers_table.py --batch 2 --classes 2 --steps 1 --rounds 1 " +
                                          name);
    return run.code == 2 && run.err.rfind("peers_table.py: " + name + ": " + words, 0) == 0 &&
           run.err.find('\n') == run.err.size() - 1;
  };
  const std::string row = R"([{"peer": "a", "variant": "b", "precision": "f32", )", member = "row 1: expected peer, ";
  CHECK(refused("1-train-a.json", "", "expected JSON: "));
  CHECK(refused("1-train-a.json", row, "expected JSON: "));
  CHECK(refused("1-train-a.json", "\\377", "expected JSON: "));
  for (const std::string text : {"3", "[]", "null"}) CHECK(refused("1-train-a.json", text, "expected rows of "));
  for (const std::string time : {"0", "-1", "NaN", "Infinity", "\"1\"", "null", "true"})
    CHECK(refused("1-train-a.json", row + "\"seconds_per_image\": " + time + "}]", member));
  CHECK(refused("1-train-a.json", row + "\"error\": null}]", member));
  CHECK(refused("1-train-a.json", "[{\"seconds_per_image\": 1}]", member));
  for (const std::string name : {"1-sleep-a.json", "x-train-a.json", "peers.json"})
    CHECK(refused(name, "[]", "expected a file named ROUND-WHAT-ANYTHING.json"));
}

TEST_CASE("peer_onnx.py refuses bad input") {
  if (no_python()) return;
  const Machine machine;
  machine.write("modules/numpy.py", "");  // imported first, and not used before the refusals
  fs::create_directory(machine / "reference");
  const auto refused = [&](const std::string& arguments, const std::string& words) {
    const Run run = in_shell(machine, "PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=modules exec python3 " SOURCE_DIR
                                      "/bench/peer_onnx.py --reference " +
                                          arguments);
    return run.code == 2 && run.out.empty() && run.err.rfind("peer_onnx.py: " + words, 0) == 0 &&
           run.err.find('\n') == run.err.size() - 1;
  };
  CHECK(refused("nowhere", "nowhere/reference.json: No such file or directory\n"));
  CHECK(refused("''", "argument --reference: expected a name, got ''"));
  CHECK(refused("reference --steps 0", "argument --steps: expected a whole number from 1 to 1000, got '0'\n"));
  CHECK(refused("reference --variants openvino,openvino",
                "argument --variants: expected some of onnxruntime,openvino, each once, got 'openvino,openvino'\n"));
  CHECK(refused("reference --json nowhere/a", "--json: nowhere/a: No such file or directory\n"));
  CHECK(refused("reference --json reference", "--json: reference: Is a directory\n"));
  const std::string start = "--reference: reference: expected what peer_torch.py --export wrote: ";
  machine.write("reference/images.npy", "");
  for (const auto& [content, words] :
       {std::pair("3", ""),
        {R"({"files": {"images.npy": "0"}})", "images.npy was changed\n"},
        {R"({"files": {"network.onnx": "0"}})", "[Errno 2] No such file or directory: "}}) {
    std::ofstream(machine / "reference/reference.json") << content;
    CHECK(refused("reference", start + words));
  }
}

TEST_CASE("bad input is refused in one line") {
  const Machine machine;
  const auto refused = [&](const std::vector<std::string>& arguments, const std::string& words) {
    const Run run = compare(machine, arguments);
    return run.code == 2 && run.err == "compare-peers: " + words + "\n";
  };
  CHECK(refused({"--peers", "caffe"}, "--peers: expected one of torch onnx, got 'caffe'"));
  CHECK(refused({"--what", "sleep"}, "--what: expected one of train embed, got 'sleep'"));
  CHECK(refused({"--variants", "fast"},
                "--variants: expected one of eager channels_last compiled freezing onnxruntime openvino, got 'fast'"));
  CHECK(refused({"--precision", "f32,f8"}, "--precision: expected one of f32 bf16 f16, got 'f8'"));
  CHECK(refused({"--device", "emu"}, "--device: expected cpu, cuda or cuda:N, got 'emu'"));
  for (const std::string size : {"64", "0x64", "64x4097", "99999999x9999999", "16x16"})
    CHECK(refused({"--size", size},
                  "--size: expected HEIGHTxWIDTH, each from 1 to 4096 and one above 16, got '" + size + "'"));
  CHECK(refused({"--batch", "0"}, "--batch: expected a whole number from 2 to 4096, got '0'"));
  CHECK(refused({"--batch", "1"}, "--batch: expected a whole number from 2 to 4096, got '1'"));
  CHECK(refused({"--classes", "100001"}, "--classes: expected a whole number from 1 to 100000, got '100001'"));
  CHECK(refused({"--steps", "1001"}, "--steps: expected a whole number from 1 to 1000, got '1001'"));
  CHECK(refused({"--rounds", "0"}, "--rounds: expected a whole number from 1 to 1000, got '0'"));
  CHECK(refused({"--threads", "1025"}, "--threads: expected a whole number from 1 to 1024, got '1025'"));
  CHECK(refused({"--depth", "7"}, "--depth: expected tiny, 18, 34, 50, 101 or 152, got '7'"));
  CHECK(refused({"--what", "train,train"}, "--what: expected each value once, got 'train' twice"));
  CHECK(refused({"--what", "train,"}, "--what: expected one of train embed, got ''"));
  CHECK(refused({"--what", ""}, "--what: expected a value"));
  CHECK(refused({"--what", "a\nb"}, "--what: expected one of train embed, got 'a?b'"));
  CHECK(refused({"--variants", "eager channels_last"},
                "--variants: expected one of eager channels_last compiled freezing onnxruntime openvino, got 'eager "
                "channels_last'"));
  CHECK(refused({"--what", "train", "--variants", "freezing,openvino"},
                "--variants: expected one that torch,onnx has for train on cpu, got 'freezing,openvino'"));
  CHECK(refused({"--instruction-set", "sse"}, "--instruction-set: expected avx2, got 'sse'"));
  CHECK(refused({"--steps"}, "--steps: expected a value"));
  CHECK(refused({"--python", "/nowhere/python"}, "--python: no such program: /nowhere/python"));
  CHECK(refused({"--environment", "/nowhere"}, "--python: expected it without --environment"));
  CHECK(refused({"--build", "/nowhere"}, "--build: expected a folder with bin/bench-step, got '/nowhere'"));
  CHECK(refused({"--fast", "1"}, "unknown argument --fast (see --help)"));
  const auto refused_environment = [&](const std::string& name, const std::string& words) {
    const Run run = compare(machine, {"--environment", machine / name}, false);
    return run.code == 2 && run.err == "compare-peers: --environment: " + words + ", got " + machine / name + "\n";
  };
  CHECK(refused_environment("build", "expected a virtual environment or a free name"));
  CHECK(refused_environment("nowhere/peers", "expected a name in an existing folder"));
}

}  // namespace
