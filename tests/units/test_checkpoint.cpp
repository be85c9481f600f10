// Checkpoints: the names and shapes of the authors' state_dict (listed by PyTorch), values after saving and loading,
// errors, and initial weights from other files.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/random.h"
#include "mpanet/files/checkpoint.h"
#include "mpanet/files/weights.h"
#include "tests/support/temporary_folder.h"

using namespace mpanet;
using nlohmann::json;

namespace {

constexpr int kBatch = 4;

TrainConfig tiny_config(std::vector<std::string> settings = {}) {
  TrainConfig config;
  settings.insert(settings.begin(), {"depth=tiny", "image_size=32,16", "num_parts=3", "precision=f32"});
  for (const std::string& setting : settings) set_config(config, setting);
  config.model.classes = 9;
  return config;
}

std::unique_ptr<Engine> engine_of(const TrainConfig& config) {
  return make_engine({config.model, config.optimizer, *config.precision, Backend::cpu, kBatch, kBatch});
}

Batch some_batch(uint32_t index) {
  Batch batch;
  batch.count = kBatch, batch.height = 32, batch.width = 16;
  Random random(5, Purpose::Test, 0, index);
  for (int i = 0; i < kBatch * 32 * 16 * 3; i++) batch.images.push_back(static_cast<float>(random.normal()));
  batch.labels = {1, 1, 4, 4};
  batch.infrared = {1, 0, 1, 0};
  return batch;
}

// An engine after `steps` steps of training.
std::unique_ptr<Engine> trained(const TrainConfig& config, uint32_t steps) {
  auto engine = engine_of(config);
  engine->initialize(3);
  for (uint32_t i = 0; i < steps; i++) {
    engine->step(some_batch(i), 1e-3, 1);
  }
  return engine;
}

std::vector<double> values(const Engine& engine, const TensorInfo& tensor, Slot slot = Slot::Value) {
  std::vector<double> out(static_cast<size_t>(tensor.count()));
  engine.read(tensor.name, slot, out.data());
  return out;
}

// A safetensors file in memory, which a test changes and writes again.
struct Tensors {
  std::map<std::string, TensorSource> sources;
  std::map<std::string, std::string> metadata;
  explicit Tensors(const std::string& path) {
    const TensorFile file(path);
    metadata = file.metadata();
    for (const auto& [name, entry] : file.tensors()) put(name, entry.shape, file.read(name), entry.dtype);
  }
  void put(const std::string& name, std::vector<int64_t> shape, std::vector<double> data, Dtype dtype = Dtype::F32) {
    sources[name] = {name, dtype, std::move(shape), [data](double* out) { std::copy(data.begin(), data.end(), out); }};
  }
  void write(const std::string& path) const {
    std::vector<TensorSource> list;
    for (const auto& [name, source] : sources) {
      list.push_back(source);
      list.back().name = name;
    }
    write_safetensors(path, list, metadata);
  }
};

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

TEST_CASE("initial weights: torchvision's names, the authors', other classes") {
  TemporaryFolder folder;
  const TrainConfig config = tiny_config();
  const auto source = trained(config, 1);
  save_model(folder / "whole", *source->snapshot(), config, 1);

  Tensors vision(folder / "whole");  // the backbone and its classifier, with torchvision's names
  vision.metadata.clear();
  std::map<std::string, TensorSource> renamed;
  for (const auto& [name, tensor] : vision.sources)
    if (name.starts_with("backbone.") && name.find("MAM") == name.npos) renamed[name.substr(9)] = tensor;
  vision.sources = renamed;
  vision.put("fc.weight", {2, 1}, {1, 2});
  vision.put("fc.bias", {2}, {1, 2});
  vision.write(folder / "vision");
  const auto engine = engine_of(config);
  engine->initialize(50);
  const WeightsReport report = load_weights(folder / "vision", *engine);
  const std::set<std::string> random(report.random.begin(), report.random.end());
  for (const TensorInfo& tensor : engine->tensors()) {
    INFO(tensor.name);
    const bool in_file = renamed.contains(tensor.name.starts_with("backbone.") ? tensor.name.substr(9) : "");
    CHECK(random.contains(tensor.name) == !in_file);
    const bool constant = tensor.name.find("bn_neck") != std::string::npos || tensor.name == "spatial_attention.bias";
    if (!constant) CHECK((values(*engine, tensor) == values(*source, tensor)) == in_file);
  }
  CHECK(report.taken.size() + report.random.size() == engine->tensors().size());
  CHECK(std::count(report.left.begin(), report.left.end(), "\"fc.weight\"") == 1);
  CHECK(report_line({{"a", "b"}, {"c"}, {}}) == "2 tensors taken, 1 not used, 0 drawn at random");
  CHECK(report_text({{"a", "b"}, {"c"}, {"d"}}) == "taken a\ntaken b\nleft c\nrandom d\n");

  // The whole model, into a network with other classes: everything but the classifiers.
  TrainConfig other = config;
  other.model.classes = 4;
  const auto wider = engine_of(other);
  wider->initialize(1);
  const WeightsReport whole = load_weights(folder / "whole", *wider);
  CHECK(whole.random.size() == 5);
  for (const std::string& name : whole.random) CHECK(is_classifier(name));
  CHECK(std::count(whole.left.begin(), whole.left.end(), "\"classifier.weight\" (9 classes, not 4)") == 1);

  // Live classifiers without teachers: the teachers start equal to them.
  Tensors live(folder / "whole");
  live.sources.erase("visible_classifier_.weight");
  live.write(folder / "live");
  CHECK(load_weights(folder / "live", *engine).random.empty());
  for (const TensorInfo& tensor : engine->tensors())
    if (tensor.name == "visible_classifier_.weight")
      CHECK(values(*engine, tensor) == TensorFile(folder / "whole").read("visible_classifier.weight"));
}

TEST_CASE("initial weights that do not fit are refused") {
  TemporaryFolder folder;
  const TrainConfig config = tiny_config();
  const auto engine = engine_of(config);
  engine->initialize(1);
  save_model(folder / "whole", *engine->snapshot(), config, 0);
  const std::string path = folder / "changed";
  const auto refusal = [&](auto change) {
    Tensors tensors(folder / "whole");
    change(tensors);
    tensors.write(path);
    return error_of([&] { load_weights(path, *engine); });
  };
  CHECK(refusal([](Tensors& t) { t.put("backbone.bn1.weight", {64}, std::vector<double>(64)); }) ==
        path + ": tensor \"backbone.bn1.weight\": expected shape (16), got (64)");
  CHECK(refusal([](Tensors& t) { t.put("bn1.weight", {16}, std::vector<double>(16)); }) ==
        path + ": tensor backbone.bn1.weight is given twice, with and without the prefix backbone.");
  CHECK(refusal([](Tensors& t) { t.sources.erase("backbone.conv1.weight"); }) ==
        path + ": tensor backbone.conv1.weight is missing");
  CHECK(refusal([](Tensors& t) {
          t.put("backbone.bn1.weight", {16}, std::vector<double>(16, std::numeric_limits<double>::infinity()));
        }) == path + ": tensor \"backbone.bn1.weight\": expected finite values, element 0 is inf");
  CHECK(refusal([](Tensors& t) { t.put("backbone.bn1.weight", {16}, std::vector<double>(16, 1e39), Dtype::F64); }) ==
        path + ": tensor \"backbone.bn1.weight\": expected values in float32's range, element 0 is 1e+39");
  CHECK(refusal([](Tensors& t) { t.put("backbone.bn1.running_var", {16}, std::vector<double>(16, -1)); }) ==
        path + ": tensor \"backbone.bn1.running_var\": expected variances from 0, element 0 is -1");
}
