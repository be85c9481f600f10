// mpanet-train writes checkpoints beside the training: when, what a kill leaves, and what a failed write tells.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>

#include "core/base/random.h"
#include "mpanet/files/checkpoint.h"
#include "tests/support/train_program.h"

using namespace mpanet;
namespace fs = std::filesystem;

namespace {

// Epochs of 50 batches, so that a run is in the middle of one nearly always.
const std::string& long_data_set() {
  static TemporaryFolder folder;
  static std::string path;
  if (!path.empty()) return path;
  Process synth(
      {PROGRAMS "/mpanet-data", "synth", "--out", folder / "data", "--ids", "10", "--test-ids", "2", "--images", "10"});
  REQUIRE_MESSAGE(synth.wait() == 0, synth.err());
  return path = folder / "data";
}

// A run that would take long, without evaluations.
Arguments long_run(const TemporaryFolder& folder, const std::string& run, const Arguments& more) {
  Arguments all = no_evaluation(command(folder, run, {"--data", long_data_set(), "--set", "num_epoch=10000"}));
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

// The number of completed batches of the epoch that the checkpoint is in; -1: there is none yet.
int batch_of(const std::string& run) {
  const std::string last = run + "/last.safetensors";
  return fs::exists(last) ? Checkpoint(last).progression()->batch : -1;
}

// Every number of the checkpoint can be read and is finite. Returns its step; -1: there is none yet.
int64_t check_whole(const std::string& run) {
  const std::string path = run + "/last.safetensors";
  if (!fs::exists(path)) return -1;
  const Checkpoint last(path);
  for (const auto& tensor : last.file().tensors()) read_finite(last.file(), tensor.first);
  return last.progression()->step;
}

}  // namespace

TEST_SUITE("checkpoints beside the training" * doctest::skip(kLacking)) {
  TEST_CASE("checkpoint_seconds writes one in the middle of an epoch, 0 does not") {
    TemporaryFolder folder;
    const Arguments timed = {"--set", "checkpoint_every=0", "--set", "checkpoint_seconds=1"};
    const std::string run = folder / "timed";
    Process process(long_run(folder, "timed", timed));
    int batch = 0;
    for (int i = 0; i < 20 && batch <= 0;
         i++) {  // a second passes while the run is stopped, in an epoch's last step at worst
      const int64_t before = steps_of(run);
      REQUIRE_MESSAGE(process.wait_until([&] { return steps_of(run) > before; }), process.err());
      process.send(SIGSTOP);
      std::this_thread::sleep_for(std::chrono::milliseconds(1050));
      const int64_t step = steps_of(run);
      process.send(SIGCONT);
      process.wait_until([&] { return steps_of(run) > step + 5; });
      batch = batch_of(run);
    }
    CHECK(batch > 0);
    process.send(SIGKILL);

    const std::string other = folder / "never";
    Process never(long_run(folder, "never", {"--set", "checkpoint_every=0", "--set", "checkpoint_seconds=0"}));
    REQUIRE(never.wait_until([&] { return steps_of(other) > 0; }));
    never.send(SIGSTOP);
    std::this_thread::sleep_for(std::chrono::milliseconds(1050));
    never.send(SIGCONT);
    for (int64_t step = 0, end = steps_of(other) + 30; step < end; step = steps_of(other)) {
      REQUIRE(never.wait_until([&] { return steps_of(other) > step; }));
      CHECK(batch_of(other) == 0);
    }
  }

  // MPANET_TEST_KILLS=100 in the environment kills as often.
  TEST_CASE("kill -9 at random moments of runs that write all the time leaves the last checkpoint or the one before") {
    const char* given = std::getenv("MPANET_TEST_KILLS");
    const int kills = given == nullptr ? 10 : std::atoi(given);
    TemporaryFolder folder;
    const std::string run = folder / "killed";
    const Arguments writing = {"--set", "checkpoint_every=1"};
    Arguments again = long_run(folder, "killed", writing);
    again.push_back("--resume");
    Random random(1, Purpose::Test, 0, 0);
    int64_t step = -1;
    int killed = 0, halves = 0, advanced = 0, starts = 0;
    while (killed < kills && starts++ < 3 * kills) {
      Process process(again);
      // The run's first step comes first, in two of three cases; then a random moment.
      if (killed % 3 != 0) process.wait_until([&] { return fs::exists(run) && check_whole(run) > step; });
      std::this_thread::sleep_for(std::chrono::microseconds(random.below(60000)));
      killed += process.running();
      process.send(SIGKILL);
      process.wait();
      halves += half_written(run);
      const int64_t held = check_whole(run);
      CHECK(held >= step);
      advanced += held > step;
      step = std::max(step, held);
    }
    MESSAGE(killed << " runs killed, " << halves << " in the middle of a write, " << advanced
                   << " after a new checkpoint, the last at step " << step);
    CHECK(killed == kills);
    CHECK(advanced > kills / 3);

    // From there the run goes on to the bytes of a run that nobody killed.
    const Arguments stop = {"--max-steps", std::to_string(step + 3)};
    again.insert(again.end(), stop.begin(), stop.end());
    check_works(again);
    Arguments whole = long_run(folder, "whole", writing);
    whole.insert(whole.end(), stop.begin(), stop.end());
    check_works(whole);
    CHECK(read_text(run + "/last.safetensors") == read_text(folder / "whole/last.safetensors"));
    CHECK(timeless(run) == timeless(folder / "whole"));
    CHECK(!half_written(run));
  }

  TEST_CASE("a disk that fills between two steps: the next step tells it, and the checkpoint before survives") {
    TemporaryFolder folder;
    const std::string run = folder / "run", last = run + "/last.safetensors";
    check_works(long_run(folder, "run", {"--max-steps", "2"}));
    const std::string before = read_text(last);
    Arguments resumed = long_run(folder, "run", {"--resume", "--set", "checkpoint_every=5"});
    Process process(resumed, static_cast<long>(before.size()) - 100);
    CHECK(process.wait() == 2);
    const std::string err = process.err();
    CHECK_MESSAGE(err.starts_with("mpanet-train: " + last + ": cannot write: File too large; " + last +
                                  " still holds step 2; lost: "),
                  err);
    CHECK(std::count(err.begin(), err.end(), '\n') == 1);
    // At the step after the write's end: it began after step 5.
    const int64_t lost = std::stoll(err.substr(err.find("lost: ") + 6));
    CHECK(lost >= 3);
    CHECK(lost == steps_of(run) - 2);
    CHECK(read_text(last) == before);
    CHECK(!half_written(run));
  }

  TEST_CASE("a run's end and Ctrl-C wait for the checkpoint, and tell that it could not be written") {
    TemporaryFolder folder;
    const std::string run = folder / "run", last = run + "/last.safetensors";
    check_works(long_run(folder, "run", {"--max-steps", "2"}));
    const std::string before = read_text(last);
    const auto limit = static_cast<long>(before.size()) - 100;
    const Arguments seldom = {"--resume", "--set", "checkpoint_every=0"};
    Arguments ends = long_run(folder, "run", seldom);
    ends.insert(ends.end(), {"--max-steps", "4"});
    check_refused(ends, last + " still holds step 2; lost: 2 steps", limit);

    Process process(long_run(folder, "run", seldom), limit);
    REQUIRE(process.wait_until([&] { return steps_of(run) >= 6; }));
    process.send(SIGTERM);
    CHECK(process.wait() == 2);
    CHECK_MESSAGE(has(process.err(), last + " still holds step 2; lost: "), process.err());
    CHECK(!has(process.out(), "interrupted after step"));
    CHECK(read_text(last) == before);
  }
}
