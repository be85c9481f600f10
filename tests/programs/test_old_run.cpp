// Run folders that version 0.1.0 (commit ed47ebf) wrote can be resumed and evaluated. tests/fixtures/old_run is such a
// folder after step 18 of 23. Of its safetensors files it has only the headers; this test fills in computed
// values.
#include <doctest/doctest.h>

#include <cstring>

#include "mpanet/files/checkpoint.h"
#include "tests/support/train_program.h"
using namespace mpanet;
namespace fs = std::filesystem;

namespace {

// A value for each element. Variances and second moments are not negative.
float value_of(const std::string& name, size_t i) {
  if (name.starts_with("optimizer.second.")) return 1e-3F;
  if (name.ends_with("running_var") || (name.ends_with("weight") && name.find("bn") != name.npos)) return 1;
  return 0.02F * static_cast<float>((i * 7919 + name.size()) % 11) - 0.1F;
}

void write_tensors(const std::string& path, const std::string& header) {
  const nlohmann::json entries = nlohmann::json::parse(header);
  size_t bytes = 0;
  for (const auto& [name, entry] : entries.items())
    if (name != "__metadata__") bytes = std::max<size_t>(bytes, entry["data_offsets"][1]);
  std::string data(bytes, '\0');
  for (const auto& [name, entry] : entries.items()) {
    if (name == "__metadata__") continue;
    const size_t begin = entry["data_offsets"][0], end = entry["data_offsets"][1];
    const int64_t counter = 18;
    if (entry["dtype"] == "I64") std::memcpy(data.data() + begin, &counter, sizeof counter);
    if (entry["dtype"] == "F32")
      for (size_t at = begin, i = 0; at < end; at += sizeof(float), i++) {
        const float value = value_of(name, i);
        std::memcpy(data.data() + at, &value, sizeof value);
      }
  }
  const uint64_t length = header.size();
  std::string file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  write_file(path, file + header + data);
}

std::string make_run(const std::string& run) {
  const std::string fixture = TEST_FIXTURES "/old_run/";
  fs::create_directory(run);
  for (const char* name : {"config.json", "log.jsonl", "provenance.json"}) fs::copy(fixture + name, run);
  for (const std::string name : {"last", "best"})
    write_tensors(run + "/" + name + ".safetensors", read_text(fixture + name + ".json"));
  write_file(run + "/lock", "");
  return run;
}

void check_same_tensors(const std::string& one, const std::string& other) {
  const TensorFile a(one), b(other);
  REQUIRE(a.metadata().size() == b.metadata().size());
  for (const auto& item : b.metadata()) {
    const std::string &key = item.first, &before = item.second;
    if (key != "mpanet.config") {
      CHECK_MESSAGE(a.metadata().at(key) == before, key);
      continue;
    }
    // New keys are written with their defaults; the old keys keep their values.
    nlohmann::json now = nlohmann::json::parse(a.metadata().at(key));
    const nlohmann::json added = {{"center_cluster", true},
                                  {"checkpoint_seconds", 60},
                                  {"classification", true},
                                  {"rerank", false},
                                  {"split", 1}};
    for (const auto& key_added : added.items()) {
      const std::string name = key_added.key();
      CHECK_MESSAGE(now.at(name) == key_added.value(), name);
      now.erase(name);
    }
    CHECK(now.at("data").at("pack") == "");
    now.at("data").erase("pack");
    CHECK(now == nlohmann::json::parse(before));
  }
  REQUIRE(a.tensors().size() == b.tensors().size());
  for (const auto& tensor : a.tensors()) CHECK_MESSAGE(a.read(tensor.first) == b.read(tensor.first), tensor.first);
}

// Loads a training checkpoint, and writes what the engine holds then.
void write_again(const std::string& from, const std::string& to) {
  const Checkpoint checkpoint(from);
  TrainConfig config = *checkpoint.config();
  config.model.classes = static_cast<int>(checkpoint.file().find("visible_classifier.weight")->shape.at(0));
  const auto engine = make_engine({config.model, config.optimizer, *config.precision, Backend::cpu, 4, 0});
  checkpoint.load_training(*engine);
  save_training(to, *engine->snapshot(), config, *checkpoint.progression());
}

}  // namespace

TEST_SUITE("a run folder of version 0.1.0" * doctest::skip(kLacking)) {
  TEST_CASE("goes on, from the very values that it holds, to the last epoch") {
    TemporaryFolder folder;
    const std::string run = make_run(folder / "run"), last = run + "/last.safetensors";
    check_refused({PROGRAMS "/mpanet-train", "--out", run, "--resume"}, "--data is needed: ");
    const Arguments resume = {
        PROGRAMS "/mpanet-train", "--data", data_set(), "--out", run, "--threads", "1", "--resume"};
    const size_t lines = log_lines(run).size();
    Arguments stay = resume;
    stay.insert(stay.end(), {"--max-steps", "18"});
    Process process(stay);
    CHECK_MESSAGE(process.wait() == 0, process.err());
    CHECK_MESSAGE(has(process.out(), "\nprecision: f32, as the run began\n"), process.out());
    CHECK(log_lines(run).size() == lines);
    const std::string again = folder / "again.safetensors";
    write_again(last, again);
    check_same_tensors(again, last);

    check_works(resume);
    const Checkpoint checkpoint(last);
    CHECK(checkpoint.progression()->step == 23);
    CHECK(checkpoint.progression()->epoch == 4);
    CHECK(checkpoint.progression()->best_epoch >= 2);
    CHECK(log_lines(run).size() == lines + 7);  // five steps, the epoch and its evaluation
  }

  TEST_CASE("is evaluated") {
    TemporaryFolder folder;
    const std::string run = make_run(folder / "run");
    for (const char* name : {"/best.safetensors", "/last.safetensors"}) {
      Process process({PROGRAMS "/mpanet-eval", "--checkpoint", run + name, "--data", data_set()});
      CHECK(process.wait() == 0);
      CHECK_MESSAGE(has(process.out(), "indoor  multi"), process.out());
    }
  }
}
