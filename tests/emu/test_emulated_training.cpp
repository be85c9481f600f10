// Training on the emulated GPU against the cpu backend: three steps of the demo's network in double. Which kernels a
// step's products take.
#include <fmt/format.h>

#include <algorithm>

#include "kernels/emu/control.h"
#include "mpanet/config/config.h"
#include "tests/support/built.h"
#include "tests/support/engine_helpers.h"

namespace mpanet {
namespace {

#if defined(MPANET_HAS_EMU)

double norm(const Values& values) {
  double sum = 0;
  for (const double v : values) sum += v * v;
  return std::sqrt(sum);
}

Values difference(const Values& a, const Values& b) {
  REQUIRE(a.size() == b.size());
  Values d(a.size());
  std::transform(a.begin(), a.end(), b.begin(), d.begin(), std::minus<>());
  return d;
}

// Relative to the tensor's norm. Sums in another order differ by about 1e-15; fifty layers and three updates magnify
// this.
constexpr double kTolerance = 1e-9;

void check_same(const Values& got, const Values& expected, const std::string& what) {
  const double error = norm(difference(got, expected));
  CHECK_MESSAGE(error <= kTolerance * norm(expected), what << " differs by " << error << " of " << norm(expected));
}

TEST_CASE("three steps of the demo's network equal the cpu backend's") {
  const TrainConfig demo = read_config(SOURCE_DIR "/mpanet/configs/demo.json");
  EngineConfig config;
  config.model = demo.model;
  config.model.classes = 9;
  config.optimizer = demo.optimizer;
  config.precision = Precision::f64;
  config.train_batch = config.embed_batch = 8;
  const auto cpu = make_engine(config);
  config.device = Backend::emu;
  const auto emu = make_engine(config);
  cpu->initialize(1);
  emu->initialize(1);
  for (int step = 0; step < 3; step++) {
    const Batch batch = make_batch(config.model, 8, static_cast<uint32_t>(step));
    for (Engine* engine : {cpu.get(), emu.get()}) engine->step(batch, demo.lr, 1);
    const Losses expected = cpu->result().losses, got = emu->result().losses;
    REQUIRE(got.size() == expected.size());
    for (size_t i = 0; i < got.size(); i++)
      check_same({got[i].second}, {expected[i].second}, fmt::format("step {} {}", step, expected[i].first));
  }
  const auto expected = snapshot(*cpu), got = snapshot(*emu);
  REQUIRE(got.size() == expected.size());
  for (const auto& [name, values] : expected) check_same(got.at(name), values, name);
  const Batch batch = make_batch(config.model, 8, 3);
  check_same(embed(*emu, batch), embed(*cpu, batch), "embedding");
}

// Classifiers, teachers and channel attention. Their parameters are floats in every precision but f64.
TEST_CASE("networks of 16 bits and of tf32 compute their products in TF32, those of f32 do not") {
  for (const Precision precision : kEveryPrecision) {
    if (!is_built(precision)) continue;
    CAPTURE(name_of(precision));
    EngineConfig config = tiny(precision);
    config.device = Backend::emu;
    const auto engine = make_engine(config);
    engine->initialize(1);
    int tensor = 0, ordinary = 0;
    simt::watch_launches([&](const simt::LaunchShape& launch) {
      const std::string kernel = launch.kernel;
      if (kernel.find("gemm_tensor_kernel") != std::string::npos) tensor++;
      if (kernel.find("gemm_kernel") != std::string::npos) ordinary++;
      return true;
    });
    engine->step(make_batch(config.model, 4, 0), 1e-3, 1);
    simt::watch_launches(nullptr);
    const bool in_tf32 = precision != Precision::f32 && precision != Precision::f64;
    CHECK(tensor + ordinary > 0);
    CHECK((in_tf32 ? ordinary : tensor) == 0);
  }
}

#else

TEST_CASE("training on the emulated GPU" * doctest::skip()) { MESSAGE("skipped: this build has no emu backend"); }

#endif

}  // namespace
}  // namespace mpanet
