// The numbers that stay on the device from step to step, through mpanet/network/engine.h: f16's loss scale, steps that
// are left out, and results that are read late; on the cpu backend and the emulated GPU.
#include <algorithm>

#include "core/base/error.h"
#include "tests/support/built.h"
#include "tests/support/engine_helpers.h"

namespace mpanet {
namespace {

std::vector<Device> devices() {
#if defined(MPANET_HAS_EMU)
  return {Backend::cpu, Backend::emu};
#else
  return {Backend::cpu};
#endif
}

// What the optimiser changes.
std::map<std::string, Values> optimised(const Engine& engine) {
  std::map<std::string, Values> state;
  for (const TensorInfo& info : engine.tensors())
    if (info.trainable)
      for (const Slot slot : {Slot::Value, Slot::First, Slot::Second})
        state[info.name + "#" + std::to_string(static_cast<int>(slot))] = read(engine, info.name, slot);
  return state;
}

TEST_CASE("f16: steps with gradients that overflow are left out, and each halves the loss scale" *
          doctest::skip(!is_built(Precision::f16))) {
  constexpr double kTooLarge = 0x1p24;
  std::vector<double> scales, totals;  // of the first device
  for (const Device device : devices()) {
    CAPTURE(name_of(device));
    EngineConfig config = tiny(Precision::f16, 8, 0);
    config.model.height = 64;  // norms over fewer pixels magnify the roundings, which differ between the devices
    config.model.width = 32;
    config.device = device;
    const auto engine = make_engine(config);
    engine->initialize(7);
    OptimizerProgress expected{.steps = 3, .loss_scale = kTooLarge, .steady = 7};
    engine->set_optimizer_progress(expected);
    std::vector<double> scales_here, totals_here;
    const auto step = [&] {
      const auto before = optimised(*engine);
      engine->step(make_batch(config.model, 8, 0), 1e-5, 1);
      const StepResult result = engine->result();
      if (result.updated)
        expected.steps++, expected.steady++;
      else
        expected.loss_scale /= 2, expected.steady = 0;
      CHECK(result.progress == expected);
      CHECK(engine->optimizer_progress() == expected);
      CHECK((optimised(*engine) == before) == !result.updated);
      scales_here.push_back(expected.loss_scale);
      totals_here.push_back(loss(result.losses, "total"));
      return result.updated;
    };
    int left_out = 0;
    while (left_out < 25 && !step()) left_out++;
    CHECK(left_out > 1);
    CHECK(left_out < 25);
    // A scale with room for other weights; then one step with a scale that is too large, and no other, is left out.
    expected.loss_scale /= 16;
    engine->set_optimizer_progress(expected);
    CHECK(step());
    const double fits = expected.loss_scale;
    expected.loss_scale = kTooLarge;
    engine->set_optimizer_progress(expected);
    CHECK(!step());
    expected.loss_scale = fits;
    engine->set_optimizer_progress(expected);
    CHECK(step());
    CHECK(step());
    if (scales.empty()) scales = scales_here, totals = totals_here;
    CHECK(scales_here == scales);
    check_close(totals_here, totals, 0.05);  // activations are rounded to 11 bits after sums in another order
  }
}

TEST_CASE("f16: gradients are read, written and applied without the loss scale, which grows after steady steps" *
          doctest::skip(!is_built(Precision::f16))) {
  for (const Device device : devices()) {
    CAPTURE(name_of(device));
    EngineConfig config = tiny(Precision::f16);
    config.device = device;
    const auto engine = make_engine(config);
    engine->initialize(1);
    engine->set_optimizer_progress({.steps = 0, .loss_scale = 64, .steady = 1998});
    const std::string name = "classifier.weight";
    const Values start = read(*engine, name), gradient = normals(static_cast<int64_t>(start.size()), 1);
    engine->forward_backward(make_batch(config.model, 4, 0), 1);
    engine->write(name, Slot::Gradient, gradient.data());
    CHECK(read(*engine, name, Slot::Gradient) == gradient);
    CHECK(engine->update(0.01));
    CHECK(engine->optimizer_progress() == OptimizerProgress{1, 64, 1999});
    // Adam's first step: m / (1 - beta1) = g, sqrt(v / (1 - beta2)) = |g|.
    Values expected = start;
    for (size_t i = 0; i < expected.size(); i++) {
      const double g = gradient[i] + 5e-4 * start[i];
      expected[i] -= 0.01 * g / (std::fabs(g) + 1e-8);
    }
    check_close(read(*engine, name), expected, 1e-6);
    CHECK(read(*engine, name, Slot::Gradient) == gradient);
    engine->step(make_batch(config.model, 4, 1), 1e-3, 1);
    CHECK(engine->optimizer_progress() == OptimizerProgress{2, 128, 0});
    Values bad = gradient;
    bad[3] = INFINITY;
    engine->write(name, Slot::Gradient, bad.data());
    CHECK(!engine->update(0.01));
    CHECK(engine->optimizer_progress() == OptimizerProgress{2, 64, 0});
  }
}

TEST_CASE("the result of the step before the last one can be read after it") {
  for (const Device device : devices()) {
    CAPTURE(name_of(device));
    EngineConfig config = tiny(Precision::f32);
    config.device = device;
    const auto engine = make_engine(config), other = make_engine(config);
    for (Engine* e : {engine.get(), other.get()}) e->initialize(1);
    CHECK_THROWS_AS(engine->result(), CheckError);
    StepResult before;
    for (uint32_t step = 0; step < 3; step++) {
      const Batch batch = make_batch(config.model, 4, step);
      engine->step(batch, 1e-3, 1);
      other->step(batch, 1e-3, 1);
      if (step == 0)
        CHECK_THROWS_AS(engine->result(1), CheckError);
      else
        CHECK(engine->result(1).losses == before.losses);
      if (step > 0) CHECK(engine->result(1).progress == before.progress);
      before = other->result();
      CHECK(engine->result().losses == before.losses);
      CHECK(engine->result().progress.steps == step + 1);
    }
    CHECK_THROWS_AS(engine->result(2), CheckError);
  }
}

}  // namespace
}  // namespace mpanet
