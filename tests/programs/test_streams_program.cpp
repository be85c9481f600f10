// Every program with standard streams that are full, broken or closed, with signals, and with OpenMP settings that
// provide fewer threads than requested.
#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "data/pictures/image.h"
#include "data/sets/matfile.h"
#include "mpanet/files/checkpoint.h"
#include "tests/support/process.h"
#include "tests/support/shell.h"

using namespace mpanet;
namespace fs = std::filesystem;

namespace {

const bool kLacking = !trial_files_supported() || !jpeg_supported();

// All programs of this build.
std::vector<std::string> programs() {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(PROGRAMS)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_regular_file() && !name.starts_with("test_") && !name.ends_with(".so")) found.push_back(name);
  }
  std::sort(found.begin(), found.end());
  return found;
}

// Runs a line of bash. $err: a file for the stderr of the tested program; $dead: a pipe without a reader.
Result bash(const std::string& line) {
  const TemporaryFolder folder;
  write_file(folder / "script", "cd " + folder.path() +
                                    "; err=err; PATH=" PROGRAMS
                                    ":$PATH; mkfifo fifo; exec 8<>fifo 9>fifo 8<&-; dead=/dev/fd/9\n" +
                                    line + "\n");
  write_file(folder / "err", "");
  const int status = std::system(("bash '" + (folder / "script") + "' >'" + (folder / "out") + "' 2>&1").c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128, read_text(folder / "out"), read_text(folder / "err")};
}

// Number of steps of the run: log.jsonl has a line for each, stdout only one in ten seconds.
size_t steps_of(const std::string& run) {
  const std::string log = run + "/log.jsonl";
  if (!fs::exists(log)) return 0;
  const std::string text = read_text(log);
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

size_t lines_in(const std::string& text) { return static_cast<size_t>(std::count(text.begin(), text.end(), '\n')); }

const std::string& data_set() {
  static TemporaryFolder folder;
  static const std::string path = folder / "data";
  if (!fs::exists(path))
    REQUIRE(run_program("mpanet-data", "synth --out " + path + " --ids 4 --test-ids 2 --images 2 --seed 1").code == 0);
  return path;
}

// The command of a short training run in folder/out.
std::string training(const TemporaryFolder& folder, const std::string& out, const std::string& more = "") {
  write_file(folder / "config.json",
             R"({"depth": "tiny", "image_size": [32, 16], "p_size": 2, "k_size": 2, "num_parts": 2, "lr": 0.001,
               "num_epoch": 2, "start_eval": 0, "eval_interval": 1, "log_period": 1, "data": {"threads": 1}})");
  return "mpanet-train --config " + (folder / "config.json") + " --data " + data_set() + " --out " + (folder / out) +
         " " + more;
}

std::string evaluation(const TemporaryFolder& folder, const std::string& run, const std::string& saved,
                       const std::string& more) {
  return "mpanet-eval --checkpoint " + (folder / run) + "/last.safetensors --data " + data_set() + " --save-features " +
         (folder / saved) + " " + more;
}

// Checks for one line on stderr and exit code 2.
void check_refused(const std::string& line, const std::string& words) {
  CAPTURE(line);
  const Result result = bash(line + " 2>$err");
  CHECK_MESSAGE(result.code == 2, result.err);
  CHECK_MESSAGE(has(result.err, words), result.err);
  CHECK_MESSAGE(lines_in(result.err) == 1, result.err);
}

}  // namespace

TEST_CASE("a result that cannot be written: one line and exit code 2") {
  CHECK(programs().size() >= 3);
  for (const std::string& program : programs()) {
    check_refused(program + " --help >/dev/full", program + ": standard output: No space left on device");
    check_refused(program + " --help >&9", program + ": standard output: Broken pipe");
    check_refused(program + " --help >&-", program + ": standard output: Bad file descriptor");
  }
  for (const char* command : {"mpanet-train --version", "mpanet-train --help-config", "mpanet-eval --version"})
    check_refused(std::string(command) + " >/dev/full", ": standard output: No space left on device");
}

TEST_CASE("results of every command" * doctest::skip(kLacking)) {
  for (const std::string& command :
       {"mpanet-data verify " + data_set(), std::string("mpanet-data synth --ids 2 --test-ids 2 --images 1 --out x"),
        "mpanet-eval --chance 1 --data " + data_set()})
    for (const char* sink : {">/dev/full", ">&9", ">&-"}) {
      const Result result = bash(command + " " + sink + " 2>$err");
      CAPTURE(command);
      CAPTURE(sink);
      CHECK(result.code == 2);
      CHECK_MESSAGE(has(result.err, ": standard output: "), result.err);
    }
}

TEST_CASE("progress that nobody takes does not end the work" * doctest::skip(kLacking)) {
  const TemporaryFolder folder;
  REQUIRE(bash(training(folder, "whole", "--threads 2")).code == 0);
  const std::string whole = read_text(folder / "whole/last.safetensors");
  int number = 0;
  for (const char* streams : {">/dev/full", ">&9", ">&-", "2>/dev/full", "2>&9", "2>&-", ">/dev/full 2>/dev/full",
                              ">&9 2>&9", "<&- >&- 2>&-"}) {
    CAPTURE(streams);
    const std::string out = "run" + std::to_string(number++);
    const Result result = bash(training(folder, out, std::string("--threads 2 ") + streams));
    CHECK(result.code == 0);
    CHECK(read_text(folder / out + "/last.safetensors") == whole);
  }
  for (const char* streams : {"2>/dev/full", "2>&9", "2>&-"}) {
    CAPTURE(streams);
    CHECK(bash(evaluation(folder, "whole", "saved", streams)).code == 0);
    CHECK(bash(std::string("mpanet-data verify ") + data_set() + " " + streams).code == 0);
    CHECK(bash(std::string("mpanet-data verify ./nowhere ") + streams).code == 2);
    CHECK(bash(std::string("mpanet-train --nonsense ") + streams).code == 2);
  }
}

TEST_CASE("the table of an experiment is a result" * doctest::skip(kLacking)) {
  const TemporaryFolder folder;
  int number = 0;
  for (const char* sink : {">/dev/full", ">&9", ">&-"}) {
    CAPTURE(sink);
    const std::string out = "runs" + std::to_string(number++);
    const Result result = bash(training(folder, out, std::string("--seeds 0 --max-steps 0 ") + sink + " 2>$err"));
    CHECK(result.code == 2);
    CHECK_MESSAGE(has(result.err, "mpanet-train: standard output: "), result.err);
    CHECK(fs::exists(folder / out + "/seed-0/last.safetensors"));
  }
}

TEST_CASE("descriptors that are closed at the start do not become data files" * doctest::skip(kLacking)) {
  const TemporaryFolder folder;
  const std::string synth = "mpanet-data synth --ids 2 --test-ids 2 --images 2 --seed 3 --out ";
  REQUIRE(bash(synth + (folder / "open")).code == 0);
  bash(synth + (folder / "closed") + " <&- >&- 2>&-");
  CHECK(bash("diff -r " + (folder / "open") + " " + (folder / "closed")).code == 0);
}

TEST_CASE("the last line of a job's log is the error" * doctest::skip(kLacking)) {
  const TemporaryFolder folder;
  const std::string broken = folder / "data";
  fs::copy(data_set(), broken, fs::copy_options::recursive);
  for (const auto& entry : fs::recursive_directory_iterator(broken + "/cam1"))
    if (entry.path().extension() == ".jpg") write_file(entry.path(), "no picture");
  const Result result = bash(training(folder, "run", "--data " + broken));
  CHECK(result.code == 2);
  CHECK(lines_in(result.out) > 3);
  const size_t last = result.out.rfind('\n', result.out.size() - 2) + 1;
  CHECK_MESSAGE(result.out.compare(last, 14, "mpanet-train: ") == 0, result.out);
}

TEST_CASE("a file that may not grow is an error of the write, not the end" * doctest::skip(kLacking)) {
  const TemporaryFolder folder;
  const Result result = bash("(ulimit -f 4; exec " + training(folder, "run") + " 2>$err)");
  CHECK(result.code == 2);
  CHECK_MESSAGE(has(result.err, "File too large"), result.err);
}

TEST_CASE("threads that the system does not start" * doctest::skip(kLacking)) {
  // The limit of address space is enough for the program but not for the stacks of many threads.
  check_refused("(ulimit -s 65536; ulimit -v 1000000; exec mpanet-data verify --threads 40 " + data_set() + " )",
                "mpanet-data: cannot start a thread: Resource temporarily unavailable");
  check_refused(
      "(ulimit -s 65536; ulimit -v 4000000; exec mpanet-eval --threads 1000 --chance 1 --data " + data_set() + " )",
      "mpanet-eval: cannot start 1000 threads: Resource temporarily unavailable");
}

TEST_CASE("signals save and end as Ctrl-C does" * doctest::skip(kLacking)) {
  const TemporaryFolder folder;
  const std::string data = data_set();
  training(folder, "");
  const auto command = [&](const std::string& out) {
    return std::vector<std::string>{PROGRAMS "/mpanet-train",
                                    "--config",
                                    folder / "config.json",
                                    "--data",
                                    data,
                                    "--out",
                                    folder / out,
                                    "--threads",
                                    "1",
                                    "--set",
                                    "num_epoch=100000",
                                    "--set",
                                    "eval_interval=0"};
  };
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) {
    CAPTURE(signal);
    const std::string out = "run" + std::to_string(signal);
    Process process(command(out));
    REQUIRE(process.wait_until([&] { return steps_of(folder / out) >= 4; }));
    process.send(signal);
    process.send(signal);  // shells and `timeout` send twice
    CHECK(process.wait() == 128 + signal);
    CHECK(has(process.out(), "interrupted after step"));
    CHECK(Checkpoint(folder / out + "/last.safetensors").progression()->step >= 4);
  }
  SUBCASE("one that the parent ignores stays ignored") {
    std::signal(SIGHUP, SIG_IGN);
    Process process(command("ignored"));
    std::signal(SIGHUP, SIG_DFL);
    REQUIRE(process.wait_until([&] { return steps_of(folder / "ignored") >= 4; }));
    process.send(SIGHUP);
    const size_t steps = steps_of(folder / "ignored");
    REQUIRE(process.wait_until([&] { return steps_of(folder / "ignored") >= steps + 20; }));
    CHECK(process.running());
    process.send(SIGTERM);
    CHECK(process.wait() == 128 + SIGTERM);
  }
}

TEST_CASE("as many threads as asked for, or none" * doctest::skip(kLacking)) {
  const TemporaryFolder folder;
  REQUIRE(bash(training(folder, "run", "--threads 4")).code == 0);
  const std::string right = read_text(folder / "run/last.safetensors");
  REQUIRE(bash(evaluation(folder, "run", "right", "--threads 4")).code == 0);
  const std::string features = read_text(folder / "right/features.npy");

  for (const char* setting : {"OMP_DYNAMIC=true", "OMP_NUM_THREADS=1", "OMP_NUM_THREADS=2 OMP_DYNAMIC=true",
                              "OMP_PROC_BIND=true OMP_DYNAMIC=true"}) {
    CAPTURE(setting);
    REQUIRE(bash(std::string(setting) + " " + training(folder, "again", "--threads 4")).code == 0);
    CHECK(read_text(folder / "again/last.safetensors") == right);
    fs::remove_all(folder / "again");
    REQUIRE(bash(std::string(setting) + " " + evaluation(folder, "run", "saved", "--threads 4")).code == 0);
    CHECK(read_text(folder / "saved/features.npy") == features);
  }
  for (const char* setting : {"OMP_THREAD_LIMIT=1", "OMP_THREAD_LIMIT=3", "OMP_MAX_ACTIVE_LEVELS=0"}) {
    const std::string name = std::string(setting).substr(0, std::string(setting).find('='));
    check_refused(std::string(setting) + " " + training(folder, "again", "--threads 4 >/dev/null"), name);
    CHECK(!fs::exists(folder / "again"));
    check_refused(std::string(setting) + " " + evaluation(folder, "run", "saved", "--threads 4"), name);
    // Without --threads the limit determines the number.
    CAPTURE(setting);
    const Result limited = bash(std::string(setting) + " " + training(folder, "again"));
    CHECK(limited.code == 0);
    CHECK_MESSAGE(has(limited.out, " thread"), limited.out);
    fs::remove_all(folder / "again");
  }
}
