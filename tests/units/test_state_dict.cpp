// Finding a network's tensors in a file, with any prefix of their names, and the report about other tensors.
#include <doctest/doctest.h>

#include "core/base/error.h"
#include "core/base/file.h"
#include "mpanet/files/checkpoint.h"
#include "mpanet/files/pth.h"
#include "mpanet/files/state_dict.h"
#include "mpanet/files/weights.h"
#include "mpanet/files/zip_archive.h"
#include "tests/support/engine_helpers.h"
#include "tests/support/temporary_folder.h"

using namespace mpanet;

namespace {

TensorSource zeros(const std::string& name, std::vector<int64_t> shape, double value = 0) {
  size_t count = 1;
  for (const int64_t size : shape) count *= static_cast<size_t>(size);
  return {name, Dtype::F32, std::move(shape), [count, value](double* out) { std::fill_n(out, count, value); }};
}

// A tiny network's tensors, renamed, together with others.
class Weights {
 public:
  Weights() : engine_(make_engine(tiny(Precision::f32))) {
    engine_->initialize(1);
    for (const TensorInfo& tensor : engine_->tensors()) names_[tensor.name] = tensor.name;
  }
  template <class Rename>
  Weights& rename(Rename rename) {
    for (auto& [name, in_file] : names_) in_file = rename(name);
    return *this;
  }
  Weights& drop(const std::string& name) { return names_.erase(name), *this; }
  template <class Unwanted>
  Weights& drop_if(Unwanted unwanted) {
    return std::erase_if(names_, [&](const auto& name) { return unwanted(name.first); }), *this;
  }
  Weights& add(TensorSource source) { return more_.push_back(std::move(source)), *this; }
  std::string write(bool pth = false) const {
    std::vector<TensorSource> sources = more_;
    for (const TensorInfo& tensor : engine_->tensors())
      if (const auto name = names_.find(tensor.name); name != names_.end())
        sources.push_back({name->second, Dtype::F32, tensor.shape,
                           [this, tensor](double* out) { engine_->read(tensor.name, Slot::Value, out); }});
    const std::string path = folder_ / (pth ? "weights.pth" : "weights.safetensors");
    if (pth)
      write_pth(path, sources, {});
    else
      write_safetensors(path, sources, {});
    return path;
  }
  Engine& engine() { return *engine_; }

 private:
  TemporaryFolder folder_;
  std::unique_ptr<Engine> engine_;
  std::map<std::string, std::string> names_;
  std::vector<TensorSource> more_;
};

std::string torchvision_name(const std::string& name) { return name.starts_with("backbone.") ? name.substr(9) : name; }
bool is_head(const std::string& name) { return !name.starts_with("backbone.") || name.find("MAM") != name.npos; }

// Loads these weights into the engine and checks the embedding and the report.
WeightsReport embedded(const std::string& path) {
  const Checkpoint checkpoint(path);
  EngineConfig config;
  config.model = checkpoint.embedding_model();
  config.model.height = 48, config.model.width = 24;
  config.embed_batch = 1;
  return checkpoint.load_embedding(*make_engine(config));
}

std::string refusal(const std::string& path) {
  const std::string message = error_of([&] { embedded(path); });
  CHECK(message.find('\n') == message.npos);
  return message.empty() ? "" : message.substr(path.size() + 2);
}

}  // namespace

TEST_CASE("what stands before the names is stripped and said") {
  for (const bool pth : {false, true}) {
    if (pth && !zip_supported()) continue;
    for (const std::string prefix : {"", "module.", "model.", "state_dict.module.", "net.", "a.b.c."}) {
      Weights weights;
      weights.rename([&](const std::string& name) { return prefix + name; })
          .add(zeros("optimizer.state.0.exp_avg", {2}));
      const WeightsReport report = embedded(weights.write(pth));
      CHECK(report.prefix == prefix);
      CHECK(report.unknown.empty());
      CHECK(report.random.empty());
      CHECK(report.left.size() == 6);  // five classifiers and the optimiser's
      const std::string line = report_line(report);
      CHECK(line.find(fmt::format("{} tensors taken, 6 not used, 0 drawn at random", report.taken.size())) == 0);
      CHECK((line.find("; prefix \"" + prefix + "\" stripped") != line.npos) == !prefix.empty());

      const auto engine = make_engine(tiny(Precision::f32));
      engine->initialize(2);
      const WeightsReport initial = load_weights(weights.write(pth), *engine);
      CHECK(initial.random.empty());
      CHECK(initial.taken.size() == engine->tensors().size());
      for (const TensorInfo& tensor : engine->tensors())
        CHECK(read(*engine, tensor.name) == read(weights.engine(), tensor.name));
    }
  }
}

TEST_CASE("unknown tensors are noted, missing ones are named") {
  Weights extra;
  for (const char* name : {"backbone.x", "y", "z", "zz"}) extra.add(zeros(name, {1}));
  const WeightsReport report = embedded(extra.write());
  CHECK(report.unknown == std::vector<std::string>{"backbone.x", "y", "z", "zz"});
  CHECK(report_line(report).ends_with("; not of this network: \"backbone.x\", \"y\", \"z\" and 1 more"));
  const auto module = [](const std::string& name) { return "module." + name; };
  CHECK(refusal(Weights().rename(module).drop("backbone.bn1.running_var").write()) ==
        "tensor module.backbone.bn1.running_var is missing");
  CHECK(refusal(Weights().drop("backbone.conv1.weight").write()) == "tensor backbone.conv1.weight is missing");
  CHECK(refusal(Weights().drop("bn_neck.weight").write()) == "tensor bn_neck.weight is missing");
  // A whole block is missing: the depth is that of the remaining blocks.
  CHECK(refusal(Weights().drop_if([](const std::string& n) { return n.starts_with("backbone.layer4.0."); }).write()) ==
        "tensor backbone.layer4.0.conv1.weight is missing (of a ResNet tiny)");
  // One map's bias without its weight, and the reverse: the number of parts is still found.
  CHECK(refusal(Weights().drop("spatial_attention.weight").write()) == "tensor spatial_attention.weight is missing");
  CHECK(refusal(Weights().drop("spatial_attention.bias").write()) == "tensor spatial_attention.bias is missing");
  CHECK(refusal(Weights().drop("backbone.MAM3.channel_attention.0.weight").write()) ==
        "tensor backbone.MAM3.channel_attention.0.weight is missing");
  // Torchvision's file is not an MPANet, and --init names the missing tensors of its backbone.
  Weights vision;
  vision.drop_if(is_head).rename(torchvision_name);
  CHECK(refusal(vision.write()).ends_with("is missing"));
  const auto engine = make_engine(tiny(Precision::f32));
  engine->initialize(1);
  CHECK(load_weights(vision.write(), *engine).random.size() == 4 + 2 + 4 + 4 + 1);
  const std::string path = vision.drop("backbone.layer2.0.bn1.running_mean").write();
  CHECK(error_of([&] { load_weights(path, *engine); }) == path + ": tensor layer2.0.bn1.running_mean is missing");
}

TEST_CASE("files that are no network, or several") {
  TemporaryFolder folder;
  write_safetensors(folder / "x", {zeros("weight", {2})}, {});
  CHECK(
      refusal(folder / "x") ==
      "expected the weights of an MPANet or a ResNet (backbone.conv1.weight or conv1.weight), got 1 other tensor, the "
      "first \"weight\"");
  Weights several;
  several.rename([](const std::string& name) { return "ema." + name; }).add(zeros("other.conv1.weight", {16, 3, 7, 7}));
  CHECK(refusal(several.write()) == "expected one network, got several: ema., other.");
  Weights model;
  model.rename([](const std::string& name) { return "model." + name; }).add(zeros("ema.conv1.weight", {16, 3, 7, 7}));
  CHECK(embedded(model.write()).prefix == "model.");
  CHECK(report_line(embedded(model.write())).find("; another network in the file, \"ema.\", is not used") !=
        std::string::npos);
  Weights deeper;
  deeper.add(zeros("backbone.layer3.1.conv1.weight", {64, 64, 3, 3}));
  CHECK(refusal(deeper.write()) ==
        "expected a ResNet 18, 34, 50, 101, 152 or tiny, got basic blocks in (1, 1, 2, 1) and a stem of 16");
}

TEST_CASE("initial weights with other parts: the backbone alone") {
  Weights weights;
  EngineConfig config = tiny(Precision::f32);
  config.model.parts = 2;
  const auto engine = make_engine(config);
  engine->initialize(3);
  const WeightsReport report = load_weights(weights.write(), *engine);
  CHECK(report.random.size() == 2 + 4 + 4 + 1);
  CHECK(std::count(report.left.begin(), report.left.end(), "\"bn_neck.weight\" (6 parts, not 2)") == 1);
}

TEST_CASE("torchvision's V2 files are known by their names") {
  TemporaryFolder folder;
  const auto warning = [&](const char* name, const std::string& tensor) {
    write_safetensors(folder / name, {zeros(tensor, {16, 3, 7, 7})}, {});
    const TensorFile file(folder / name);
    return torchvision_warning(file, find_state_dict(file));
  };
  CHECK(warning("resnet50-11ad3fa6.safetensors", "conv1.weight") ==
        folder / "resnet50-11ad3fa6.safetensors" +
            ": torchvision's V2 weights; the method was published with V1 (IMAGENET1K_V1)");
  CHECK(warning("ResNet50_IMAGENET1K_V2.safetensors", "conv1.weight") != "");
  CHECK(warning("resnet50-0676ba61.safetensors", "conv1.weight") == "");
  CHECK(warning("resnet50-11ad3fa6.safetensors", "backbone.conv1.weight") == "");
}

TEST_CASE("a ResNet-50 of torchvision whose stem is not V1's") {
  TemporaryFolder folder;
  const auto warning = [&](double scale, Dtype dtype) {
    std::vector<TensorSource> sources;
    const int blocks[] = {3, 4, 6, 3};
    for (int stage = 0; stage < 4; stage++)
      for (int block = 0; block < blocks[stage]; block++)
        sources.push_back(zeros(fmt::format("layer{}.{}.conv3.weight", stage + 1, block), {1}));
    TensorSource stem = zeros("conv1.weight", {64, 3, 7, 7});
    stem.dtype = dtype;
    stem.read = [scale](double* out) {
      // The first ten of V1's, as public logs of PyTorch programs print them; the fourth is left out there.
      const double known[] = {1.3335e-02,  1.4664e-02,  -1.5351e-02, 0,          -4.0896e-02,
                              -4.3034e-02, -7.0755e-02, 4.1205e-03,  5.8477e-03, 1.4948e-02};
      std::fill_n(out, 64 * 3 * 49, 0.5);
      for (size_t i = 0; i < std::size(known); i++) out[i] = scale * known[i];
    };
    sources.push_back(stem);
    write_safetensors(folder / "x", sources, {});
    const TensorFile file(folder / "x");
    return torchvision_warning(file, find_state_dict(file));
  };
  CHECK(warning(1, Dtype::F32) == "");
  CHECK(warning(1.004, Dtype::F64) == "");
  CHECK(warning(1.02, Dtype::F32) ==
        folder / "x" + ": not torchvision's V1 weights (IMAGENET1K_V1), with which the method was published");
  CHECK(warning(-1, Dtype::F32) != "");
}
