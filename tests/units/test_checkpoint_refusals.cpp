// Checkpoints that do not fit or are damaged, values that are not saved, and files of older versions.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <tuple>

#include "core/base/error.h"
#include "core/base/file.h"
#include "mpanet/files/checkpoint.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_training.h"

using namespace mpanet;
using nlohmann::json;

TEST_CASE("refusals name the tensor, what was expected and what came") {
  TemporaryFolder folder;
  const TrainConfig config = tiny_config();
  const auto engine = trained(config, 1);
  save_training(folder / "last", *engine->snapshot(), config, {1, 1, 1, 0, {}, -1, 0});
  save_model(folder / "best", *engine->snapshot(), config, 1);
  const std::string path = folder / "changed";
  const auto refusal = [&](auto change, bool training = true) {
    Tensors tensors(folder / "last");
    change(tensors);
    tensors.write(path);
    const std::string message = error_of([&] {
      const Checkpoint checkpoint(path);
      if (training)
        checkpoint.load_training(*engine);
      else
        checkpoint.load_embedding(*engine);
    });
    CHECK(message.find('\n') == message.npos);
    CHECK((message.empty() || message.starts_with(path + ": ")));
    return message.empty() ? "" : message.substr(path.size() + 2);
  };
  const std::string bn = "backbone.bn1.weight";
  for (const bool training : {true, false}) {
    CHECK(refusal([](Tensors&) {}, training) == "");
    CHECK(refusal([&](Tensors& t) { t.sources.erase(bn); }, training) == "tensor backbone.bn1.weight is missing");
    CHECK(refusal(
              [&](Tensors& t) {
                t.put(bn, {4, 4}, std::vector<double>(16));
              },
              training) == "tensor backbone.bn1.weight: expected shape (16), got (4, 4)");
    CHECK(refusal([&](Tensors& t) { t.put("backbone.extra", {1}, {1}); }, training) ==
          (training ? "tensor \"backbone.extra\" is not of this network" : ""));
    CHECK(refusal([&](Tensors& t) { t.put(bn, {16}, std::vector<double>(16, std::nan(""))); }, training) ==
          "tensor \"backbone.bn1.weight\": expected finite values, element 0 is nan");
    // The largest float32 is taken; what a float64 tensor holds beyond it is not.
    CHECK(refusal([&](Tensors& t) { t.put(bn, {16}, std::vector<double>(16, 3.4028234e38), Dtype::F64); }, training) ==
          "");
    CHECK(refusal([&](Tensors& t) { t.put(bn, {16}, std::vector<double>(16, -1e39), Dtype::F64); }, training) ==
          "tensor \"backbone.bn1.weight\": expected values in float32's range, element 0 is -1e+39");
    CHECK(refusal([&](Tensors& t) { t.put("backbone.bn1.running_var", {16}, std::vector<double>(16, -0.5)); },
                  training) == "tensor \"backbone.bn1.running_var\": expected variances from 0, element 0 is -0.5");
  }
  CHECK(refusal([](Tensors& t) {
          t.put("classifier.weight", {3, 512}, std::vector<double>(3 * 512));
        }) == "expected 9 classes, as the data set has identities for training, got 3 (classifier.weight)");
  CHECK(refusal([](Tensors& t) {
          t.sources.erase(
              "optimizer.second."
              "classifier.weight");
        }) == "tensor optimizer.second.classifier.weight is missing");
  CHECK(refusal([](Tensors& t) { t.metadata.erase("mpanet.progress"); }) ==
        "expected a checkpoint that training can go on from (last.safetensors), got a model alone");
  CHECK(refusal([](Tensors& t) { t.metadata["mpanet.progress"] = "{}"; }) ==
        "mpanet.progress: epoch: expected an integer, got none");
  for (const auto& [key, value, words] : std::vector<std::tuple<const char*, json, std::string>>{
           {"epoch", 0, "epoch: expected an integer in 1..2147483647, got 0"},
           {"epoch", 1e308, "epoch: expected an integer in 1..2147483647, got 1e+308"},
           {"batch", 1.5, "batch: expected an integer in 0..2147483647, got 1.5"},
           {"step", -1, "step: expected an integer in 0..9223372036854775807, got -1"},
           {"data", "x", "data: expected an integer in 0..18446744073709551615, got \"x\""},
           {"loss_sums", json::array({json::array({"ce"})}),
            "loss_sums: expected pairs of a name and a number, got [\"ce\"]"},
           {"best_rank1", nullptr, "best_rank1: expected a number in -1..100, got null"},
           {"optimizer", json::object({{"steps", 1}}), "optimizer.loss_scale: expected a number, got none"}}) {
    CHECK(refusal([&, key = key, value = value](Tensors& t) {
            json progress = json::parse(t.metadata["mpanet.progress"]);
            progress[key] = value;
            t.metadata["mpanet.progress"] = progress.dump();
          }) == "mpanet.progress: " + words);
  }
  CHECK(refusal([](Tensors& t) { t.metadata["mpanet.config"] = R"({"depht": "50"})"; }) ==
        "mpanet.config: unknown key \"depht\", the nearest known key is \"depth\"");
  CHECK(refusal([](Tensors& t) { t.metadata.clear(), t.sources.erase("backbone.conv1.weight"); }, false) ==
        "tensor backbone.conv1.weight is missing");
  CHECK(refusal([](Tensors& t) { t.metadata.clear(), t.sources.erase("backbone.layer3.0.conv1.weight"); }, false) ==
        "tensor backbone.layer3.0.conv1.weight is missing");
}

TEST_CASE("a value that training cannot go on from is refused before it replaces the last good file") {
  TemporaryFolder folder;
  const TrainConfig config = tiny_config();
  const auto engine = trained(config, 1);
  const Progression progression = {1, 1, 1, 0, {}, -1, 0};
  save_training(folder / "last", *engine->snapshot(), config, progression);
  save_model(folder / "best", *engine->snapshot(), config, 1);
  const std::string last = read_text(folder / "last"), best = read_text(folder / "best");
  const auto check_refused = [&](const std::string& name, Slot slot, const std::string& in_file) {
    for (const double bad : {std::nan(""), HUGE_VAL}) {
      std::vector<double> good;
      for (const TensorInfo& tensor : engine->tensors())
        if (tensor.name == name) good = values(*engine, tensor, slot);
      std::vector<double> changed = good;
      changed.back() = bad;
      engine->write(name, slot, changed.data());
      const std::string words = fmt::format("tensor {} holds {}", in_file, bad);
      CHECK(error_of([&] { save_training(folder / "last", *engine->snapshot(), config, progression); }) == words);
      if (slot == Slot::Value)
        CHECK(error_of([&] { save_model(folder / "best", *engine->snapshot(), config, 1); }) == words);
      engine->write(name, slot, good.data());
    }
    CHECK(read_text(folder / "last") == last);
    CHECK(read_text(folder / "best") == best);
  };
  check_refused("backbone.conv1.weight", Slot::Value, "backbone.conv1.weight");
  check_refused("backbone.bn1.running_var", Slot::Value, "backbone.bn1.running_var");
  check_refused("visible_classifier_.weight", Slot::Value, "visible_classifier_.weight");
  check_refused("classifier.weight", Slot::First, "optimizer.first.classifier.weight");
  check_refused("classifier.weight", Slot::Second, "optimizer.second.classifier.weight");
  save_training(folder / "last", *engine->snapshot(), config, progression);
  CHECK(read_text(folder / "last") == last);
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 2);
}

TEST_CASE("a checkpoint of a version without the precision auto is in f32 where it does not say its precision") {
  TemporaryFolder folder;
  const TrainConfig config = tiny_config();
  save_model(folder / "best", *engine_of(config)->snapshot(), config, 0);
  Tensors old(folder / "best");
  std::string& text = old.metadata.at("mpanet.config");
  const std::string key = "\"precision\":\"f32\",";
  REQUIRE(text.find(key) != text.npos);
  text.erase(text.find(key), key.size());
  old.write(folder / "old");
  CHECK(Checkpoint(folder / "old").config()->precision == Precision::f32);
}

TEST_CASE("every truncation of a checkpoint is refused") {
  TemporaryFolder folder;
  const TrainConfig config = tiny_config();
  save_model(folder / "best", *engine_of(config)->snapshot(), config, 0);
  const std::string whole = read_text(folder / "best");
  for (size_t size = 0; size < whole.size(); size += whole.size() / 97) {
    write_file(folder / "cut", std::string_view(whole).substr(0, size));
    CHECK(error_of([&] { Checkpoint checkpoint(folder / "cut"); }) != "");
  }
  write_file(folder / "long", whole + "x");
  CHECK(error_of([&] { Checkpoint checkpoint(folder / "long"); }) != "");
}
