// Checkpoints: the names and shapes of the authors' state_dict (listed by PyTorch), and values after saving and
// loading.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"
#include "mpanet/files/checkpoint.h"
#include "tests/support/built.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_training.h"

using namespace mpanet;
using nlohmann::json;

namespace {

json expected_state_dict(const char* name) {
  return json::parse(read_text(TEST_FIXTURES "/state_dicts.json")).at(name);
}

json state_dict_of(const TensorFile& file) {
  json all;
  for (const auto& [name, entry] : file.tensors())
    if (!name.starts_with("optimizer.")) all[name] = {dtype_name(entry.dtype), entry.shape};
  return all;
}

}  // namespace

TEST_CASE("names, types and shapes are those of the authors' state_dict") {
  TemporaryFolder folder;
  const auto saved = [&](const TrainConfig& config) {
    const auto engine = make_engine({config.model, config.optimizer, *config.precision, Backend::cpu, 0, kBatch});
    save_model(folder / "best", *engine->snapshot(), config, 0);
    return state_dict_of(TensorFile(folder / "best"));
  };
  CHECK(saved(tiny_config()) == expected_state_dict("tiny"));
  CHECK(saved(tiny_config({"num_parts=0", "modality_attention=1", "mutual_learning=false", "center=true"})) ==
        expected_state_dict("tiny_plain"));
  TrainConfig resnet18 = tiny_config({"depth=18", "num_parts=6"});
  resnet18.model.classes = 5;
  CHECK(saved(resnet18) == expected_state_dict("18"));
}

TEST_CASE("a training goes on bit for bit from its file, in either precision and with either optimiser") {
  for (const auto& settings :
       std::vector<std::vector<std::string>>{{}, {"precision=f64"}, {"optimizer=sgd", "triplet=true", "center=true"}}) {
    TemporaryFolder folder;
    const TrainConfig config = tiny_config(settings);
    const auto before = trained(config, 3);
    const Progression progression = {7, 2, 3, 123456789012345678, {{"ce", 0.1}, {"cc", 1.0 / 3}}, 61.25, 5, {3, 1, 0}};
    save_training(folder / "last", *before->snapshot(), config, progression);

    const Checkpoint checkpoint(folder / "last");
    CHECK(*checkpoint.progression() == progression);
    CHECK(config_line(*checkpoint.config()) == config_line(config));
    const TensorFile& file = checkpoint.file();
    CHECK(file.find("backbone.conv1.weight")->dtype == (config.precision == Precision::f64 ? Dtype::F64 : Dtype::F32));
    CHECK(file.read("backbone.layer2.0.bn1.num_batches_tracked") == std::vector<double>{3});
    CHECK((file.find("optimizer.second.backbone.conv1.weight") != nullptr) ==
          (config.optimizer.kind == OptimizerConfig::Kind::Adam));
    CHECK(file.find("optimizer.first.bn_neck.bias") == nullptr);  // frozen

    const auto after = engine_of(config);
    after->initialize(99);
    checkpoint.load_training(*after);
    for (Engine* engine : {before.get(), after.get()}) engine->step(some_batch(3), 1e-3, 7);
    for (const TensorInfo& tensor : before->tensors()) {
      INFO(tensor.name);
      CHECK(values(*before, tensor) == values(*after, tensor));
      if (tensor.trainable) CHECK(values(*before, tensor, Slot::First) == values(*after, tensor, Slot::First));
    }
    save_training(folder / "again", *before->snapshot(), config, progression);
    save_training(folder / "resumed", *after->snapshot(), config, progression);
    CHECK(read_text(folder / "again") == read_text(folder / "resumed"));
  }
}

// Writes what save_training() writes, number by number through EngineState::read() in double.
void write_by_number(const std::string& path, const Engine& engine, const TrainConfig& config,
                     const std::map<std::string, std::string>& metadata) {
  const Dtype dtype = config.precision == Precision::f64 ? Dtype::F64 : Dtype::F32;
  std::vector<TensorSource> sources;
  for (const TensorInfo& tensor : engine.tensors()) {
    const auto put = [&](const std::string& prefix, Slot slot) {
      sources.push_back({prefix + tensor.name, dtype, tensor.shape,
                         [&engine, tensor, slot](double* out) { engine.read(tensor.name, slot, out); }});
    };
    put("", Slot::Value);
    if (tensor.trainable) put("optimizer.first.", Slot::First);
    if (tensor.trainable && config.optimizer.kind == OptimizerConfig::Kind::Adam)
      put("optimizer.second.", Slot::Second);
    const size_t mean = tensor.name.rfind("running_mean");
    if (mean != std::string::npos)
      sources.push_back(
          {tensor.name.substr(0, mean) + "num_batches_tracked", Dtype::I64, {}, [](double* out) { *out = 3; }});
  }
  write_safetensors(path, sources, metadata);
}

TEST_CASE("a file from a snapshot has the bytes of one that is written number by number, whatever steps follow") {
  std::vector<Device> devices = {Backend::cpu};
#if defined(MPANET_HAS_EMU)
  devices.emplace_back(Backend::emu);
#endif
  for (const Device device : devices)
    for (const auto& settings : std::vector<std::vector<std::string>>{
             {}, {"precision=f64", "optimizer=sgd"}, {"precision=bf16", "triplet=true", "center=true"}}) {
      CAPTURE(name_of(device));
      CAPTURE(settings.size());
      TemporaryFolder folder;
      const TrainConfig config = tiny_config(settings);
      if (!is_built(*config.precision)) continue;
      const auto engine = make_engine({config.model, config.optimizer, *config.precision, device, kBatch, kBatch});
      engine->initialize(3);
      for (uint32_t i = 0; i < 3; i++) engine->step(some_batch(i), 1e-3, 1);
      const Progression progression = {7, 2, 3, 123456789012345678, {{"ce", 0.1}}, 61.25, 5, {3, 1, 0}};
      const auto snapshot = engine->snapshot();
      save_training(folder / "first", *snapshot, config, progression);
      const auto metadata = TensorFile(folder / "first").metadata();
      CHECK(metadata.size() == 3);
      write_by_number(folder / "numbers", *engine, config, metadata);
      const std::string first = read_text(folder / "first");
      CHECK(first == read_text(folder / "numbers"));

      engine->step(some_batch(3), 1e-3, 1);
      save_training(folder / "again", *snapshot, config, progression);
      CHECK(read_text(folder / "again") == first);
      snapshot->take();
      save_training(folder / "next", *snapshot, config, progression);
      write_by_number(folder / "numbers", *engine, config, metadata);
      const std::string next = read_text(folder / "next");
      CHECK(next == read_text(folder / "numbers"));
      CHECK(next != first);
    }
}

TEST_CASE("the file holds the engine's values in PyTorch's order") {
  TemporaryFolder folder;
  const TrainConfig config = tiny_config();
  const auto engine = engine_of(config);
  engine->initialize(3);
  std::vector<double> weights(16 * 3 * 7 * 7);
  for (size_t i = 0; i < weights.size(); i++) weights[i] = static_cast<double>(i);  // exact in F32
  engine->write("backbone.conv1.weight", Slot::Value, weights.data());
  save_model(folder / "best", *engine->snapshot(), config, 0);
  CHECK(TensorFile(folder / "best").read("backbone.conv1.weight") == weights);
}

TEST_CASE("embeddings: the same from last, from best, and without any classifier or metadata") {
  TemporaryFolder folder;
  const TrainConfig config = tiny_config();
  const auto engine = trained(config, 2);
  save_training(folder / "last", *engine->snapshot(), config, {1, 2, 2, 0, {}, -1, 0});
  save_model(folder / "best", *engine->snapshot(), config, 2);
  Tensors foreign(folder / "best");
  foreign.metadata = {{"format", "pt"}};
  std::erase_if(foreign.sources, [](const auto& entry) {
    return is_classifier(entry.first) || entry.first.ends_with("num_batches_tracked");
  });
  foreign.write(folder / "foreign");
  Tensors other_classes(folder / "best");
  other_classes.put("classifier.weight", {3, 512}, std::vector<double>(3 * 512, 1.0));
  other_classes.write(folder / "other");

  const auto embed = [](Engine& e) {
    std::vector<float> out(static_cast<size_t>(kBatch) * e.feature_size());
    e.embed(some_batch(8), out.data());
    return out;
  };
  const std::vector<float> expected = embed(*engine);
  for (const char* name : {"last", "best", "foreign", "other"}) {
    INFO(name);
    const Checkpoint checkpoint(folder / name);
    EngineConfig eval;
    eval.model = checkpoint.embedding_model();
    CHECK(eval.model.depth == "tiny");
    CHECK(eval.model.parts == 3);
    CHECK(eval.model.mam == 2);
    CHECK(eval.model.height == (std::string(name) == "foreign" ? 384 : 32));
    eval.model.height = 32, eval.model.width = 16;
    eval.embed_batch = kBatch;
    const auto loaded = make_engine(eval);
    checkpoint.load_embedding(*loaded);
    CHECK(embed(*loaded) == expected);
  }
}

TEST_CASE("what a file without metadata is follows from its names") {
  TemporaryFolder folder;
  const auto depth_of = [&](const std::string& depth, const char* setting) {
    const TrainConfig config = tiny_config({"depth=" + depth, setting});
    const auto engine = make_engine({config.model, config.optimizer, *config.precision, Backend::cpu, 0, 1});
    save_model(folder / "x", *engine->snapshot(), config, 0);
    Tensors tensors(folder / "x");
    tensors.metadata.clear();
    tensors.write(folder / "x");
    return Checkpoint(folder / "x").embedding_model();
  };
  const ModelConfig plain = depth_of("18", "num_parts=0");
  CHECK(plain.depth == "18");
  CHECK(plain.parts == 0);
  CHECK(plain.classes == 1);  // an evaluation needs no memory for classifiers
  CHECK(!plain.mutual);
  CHECK(depth_of("34", "num_parts=5").parts == 5);
  CHECK(depth_of("tiny", "modality_attention=1").mam == 1);
  CHECK(depth_of("tiny", "modality_attention=0").mam == 0);
}
