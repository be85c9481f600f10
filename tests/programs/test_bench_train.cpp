// bench-train: its numbers are those of a training of the asked length, and nothing of it stays.
#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "tests/support/process.h"
#include "tests/support/text.h"

using namespace mpanet;

namespace {

// RegDB's layout needs neither libjpeg nor zlib.
std::vector<std::string> bench_train(const TemporaryFolder& folder, const std::vector<std::string>& more,
                                     const char* ids = "6") {
  std::vector<std::string> all = {"/usr/bin/env",
                                  "TMPDIR=" + folder.path(),
                                  PROGRAMS "/bench-train",
                                  "--device",
                                  "cpu",
                                  "--ids",
                                  ids,
                                  "--set",
                                  "dataset=regdb",
                                  "depth=tiny",
                                  "image_size=32,16",
                                  "p_size=2",
                                  "k_size=2",
                                  "num_parts=2",
                                  "precision=f32",
                                  "checkpoint_every=3",
                                  "num_epoch=10",
                                  "start_eval=2",
                                  "eval_interval=3"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace

TEST_CASE("steps, checkpoints, evaluations and the ratio are those of the shortened training") {
  const TemporaryFolder folder, output;
  Process process(bench_train(folder, {"--steps", "8", "--json", output / "numbers.json"}));
  REQUIRE_MESSAGE(process.wait() == 0, process.err());
  CHECK(names_in(folder.path()).empty());
  const nlohmann::json json = nlohmann::json::parse(read_text(output / "numbers.json"));
  CHECK(json["steps"] == 8);
  CHECK(json["batch"] == 4);
  // At most 6 identities x 20 pictures in batches of 4. An epoch ends when one identity alone has pictures left.
  const int batches = json["batches_per_epoch"];
  CHECK(batches <= 30);
  CHECK(batches > 25);
  CHECK(json["checkpoints"] == 2);        // after steps 3 and 6
  CHECK(json["evaluations"] == 4);        // after epochs 3, 6, 9 and the last
  CHECK(json["evaluated_images"] == 40);  // 2 identities x 20 pictures
  double alone = 0;
  for (const char* key : {"step_seconds_before", "step_seconds_after"}) {
    CHECK(json[key].size() == 4);
    for (const double seconds : json[key]) alone += seconds;
  }
  const double step_rate = json["step_images_per_second"], rate = json["images_per_second"];
  CHECK(step_rate == doctest::Approx(8 * 4 / alone));
  // Four evaluations belong to ten epochs.
  const double training = json["training_seconds"], first = json["first_evaluation_seconds"];
  const double later = json["later_evaluation_seconds"];
  CHECK(first > 0);
  CHECK(rate == doctest::Approx(4 / (training / 8 + (first + 3 * later) / (10 * batches))));
  CHECK(json["ratio"] == doctest::Approx(rate / step_rate));
  CHECK_MESSAGE(has(process.out(), "8 steps with loader, log and 2 checkpoints\n"), process.out());
}

TEST_CASE("an epoch with each picture twice is twice as long; a training without evaluations has none") {
  const TemporaryFolder folder, output;
  Process process(
      bench_train(folder, {"eval_interval=0", "--steps", "1", "--repeat", "2", "--json", output / "numbers.json"}));
  REQUIRE_MESSAGE(process.wait() == 0, process.err());
  const nlohmann::json json = nlohmann::json::parse(read_text(output / "numbers.json"));
  CHECK(json["batches_per_epoch"] <= 60);
  CHECK(json["batches_per_epoch"] > 50);
  CHECK(json["evaluations"] == 0);
  CHECK(json["images_per_second"] == json["training_images_per_second"]);
}

TEST_CASE("what it reads is not replaced by its numbers, and wrong input leaves nothing") {
  const TemporaryFolder folder, output;
  const std::string config = output / "config.json";
  write_file(config, "{}");
  Process process(bench_train(folder, {"--config", config, "--json", config}));
  CHECK(process.wait() == 2);
  CHECK(has(process.err(), config + ": cannot write: it is --config, which this program reads"));
  Process unknown(bench_train(folder, {"no_key=1"}));
  CHECK(unknown.wait() == 2);
  CHECK_MESSAGE(has(unknown.err(), "bench-train: --set: unknown key \"no_key\""), unknown.err());
  CHECK(read_text(config) == "{}");
  CHECK(names_in(folder.path()).empty());
}

TEST_CASE("a signal while people are drawn, or while the training runs, leaves nothing") {
  for (const std::string file : {"", "log.jsonl"}) {  // "": the first that comes
    CAPTURE(file);
    const TemporaryFolder folder;
    const auto is_there = [&] {
      std::error_code error;  // of a folder that goes meanwhile
      std::filesystem::recursive_directory_iterator entry(folder.path(), error);
      for (; !error && entry != std::filesystem::recursive_directory_iterator(); entry.increment(error))
        if (file.empty() || entry->path().filename() == file) return true;
      return false;
    };
    Process process(bench_train(folder, {"--steps", "300"}, file.empty() ? "4000" : "6"));
    REQUIRE_MESSAGE(process.wait_until(is_there), process.err());
    process.send(SIGTERM);
    CHECK(process.wait() == 128 + SIGTERM);
    CHECK_MESSAGE(has(process.err(), "bench-train: stopped\n"), process.err());
    CHECK(names_in(folder.path()).empty());
  }
}
