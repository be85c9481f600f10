// traincheck's comparison of gradients: it must find faults that are planted into them, in each precision.
#include "core/base/precisions.h"
#include "tests/support/engine_helpers.h"
#include "tests/support/step_check.h"
#include "tests/support/tf32.h"

namespace mpanet {
namespace {

EngineConfig small(Precision precision) {
  EngineConfig config = tiny(precision, 8, 0);
  config.model.height = 64;
  config.model.width = 32;
  return config;
}

// One step, each gradient multiplied by factor_of(its tensor's name) after the backward pass.
template <class Factor>
StepCheck::Result check_altered(Precision precision, const Factor& factor_of) {
  const EngineConfig config = small(precision);
  const std::unique_ptr<Engine> engine = make_engine(config);
  engine->initialize(3);
  engine->set_optimizer_progress({0, 1024, 0});  // a loss scale that f16 can take; the others have none
  const double loss_scale = engine->optimizer_progress().loss_scale;
  StepCheck check(config);
  check.begin(*engine);
  const Batch batch = make_batch(config.model, 8, 0);
  engine->forward_backward(batch, 1);
  for (const TensorInfo& tensor : engine->tensors()) {
    const double factor = tensor.trainable ? factor_of(tensor.name) : 1;
    if (factor == 1) continue;
    Values gradient = read(*engine, tensor.name, Slot::Gradient);
    for (double& v : gradient) v *= factor;
    engine->write(tensor.name, Slot::Gradient, gradient.data());
  }
  CHECK(check.compare(*engine, batch, 1, loss_scale));
  return check.result();
}

TEST_CASE("gradients err as rounding does; missing, negated, halved and overlong ones are seen and named") {
  const std::map<std::string, double> planted = {{"backbone.conv1.weight", 0},
                                                 {"backbone.layer2.0.conv1.weight", -1},
                                                 {"backbone.layer3.0.bn1.bias", 0.5},
                                                 {"spatial_attention.bias", 1.5}};
  std::vector<std::string> names;
  for (const auto& [name, factor] : planted) names.push_back(name);
  const auto check = [&](Precision precision) {
    CAPTURE(name_of(precision));
    const StepCheck::Result good = check_altered(precision, [](const std::string&) { return 1; });
    CHECK_MESSAGE(good.losses.within(), good.losses.where);
    CHECK_MESSAGE(good.tensors.within(), good.tensors.where);
    CHECK(good.gradients == 46);
    CHECK(good.buffers == 28);
    CHECK(good.wrong.empty());
    const StepCheck::Result zeros = check_altered(precision, [](const std::string&) { return 0; });
    CHECK(!zeros.within());
    CHECK(zeros.wrong.size() == 46);
    const StepCheck::Result some = check_altered(
        precision, [&](const std::string& name) { return planted.contains(name) ? planted.at(name) : 1; });
    CHECK(!some.within());
    CHECK(some.wrong == names);
  };
#define CHECK_PRECISION(precision) check(Precision::precision);
  MPANET_EACH_PRECISION(CHECK_PRECISION)
#undef CHECK_PRECISION
  check(Precision::tf32);
}

TEST_CASE("the reference's rounding to TF32: 11 significant bits, nearest, ties away from zero") {
  for (const double sign : {1.0, -1.0}) {
    CHECK(rounded_to_tf32(sign * 1) == sign * 1);
    CHECK(rounded_to_tf32(sign * 0x1.006p0) == sign * 0x1.008p0);  // ties at odd and even last bits
    CHECK(rounded_to_tf32(sign * 0x1.00ap0) == sign * 0x1.00cp0);
    CHECK(rounded_to_tf32(sign * 0x1.002p0) == sign * 0x1.004p0);
    CHECK(rounded_to_tf32(sign * 0x1.0019p0) == sign * 1);
    CHECK(rounded_to_tf32(sign * 0x1.fffp-3) == sign * 0x1p-2);
    CHECK(rounded_to_tf32(sign * 0x1p-137) == sign * 0x1p-136);  // a subnormal float
    CHECK(rounded_to_tf32(sign * 0x1p-138) == 0);
  }
}

TEST_CASE("a network that rounds to double is the f64 network") {
  const EngineConfig config = small(Precision::f64);
  const std::unique_ptr<Engine> engine = make_engine(config);
  engine->initialize(3);
  RoundedNetwork rounded(config);
  rounded.copy_values(*engine);
  const Batch batch = make_batch(config.model, 8, 0);
  engine->forward_backward(batch, 1);
  const RoundedNetwork::Step step = rounded.run(batch, 1, 8);
  const Losses losses = engine->result().losses;
  REQUIRE(step.losses.size() == losses.size());
  for (size_t i = 0; i < losses.size(); i++) CHECK(step.losses[i].second == losses[i].second);
  for (const TensorInfo& tensor : engine->tensors())
    check_close(step.tensors.at(tensor.name),
                read(*engine, tensor.name, tensor.trainable ? Slot::Gradient : Slot::Value), 1e-12);
}

}  // namespace
}  // namespace mpanet
