// Weights from other files: which tensors are taken, and refusals.
#include <doctest/doctest.h>

#include <limits>
#include <set>

#include "core/base/error.h"
#include "mpanet/files/checkpoint.h"
#include "mpanet/files/weights.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_training.h"

using namespace mpanet;

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
