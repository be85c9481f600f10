// Helpers for the tests of the engine's interface: a tiny network, batches, and the engine's whole state.
#pragma once
#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include "core/base/random.h"
#include "mpanet/network/engine.h"

namespace mpanet {

using Values = std::vector<double>;

inline EngineConfig tiny(Precision precision, int train = 4, int embed = 4) {
  EngineConfig config;
  config.model.depth = "tiny";
  config.model.classes = 5;
  config.model.height = 48;
  config.model.width = 24;
  config.precision = precision;
  config.train_batch = train;
  config.embed_batch = embed;
  return config;
}

inline Values normals(int64_t count, uint32_t index) {
  Random random(5, Purpose::Test, 40, index);
  Values values(static_cast<size_t>(count));
  for (double& v : values) v = static_cast<float>(random.normal());  // exact in f32 and f64
  return values;
}

inline Batch make_batch(const ModelConfig& model, int count, uint32_t index) {
  Batch batch;
  batch.count = count;
  batch.height = model.height;
  batch.width = model.width;
  const Values pixels = normals(int64_t{3} * count * model.height * model.width, index);
  batch.images.assign(pixels.begin(), pixels.end());
  for (int i = 0; i < count; i++) {
    batch.labels.push_back(i / 2 % model.classes);
    batch.infrared.push_back(i % 2 == 0);
  }
  return batch;
}

inline Values read(const Engine& engine, const std::string& name, Slot slot = Slot::Value) {
  for (const TensorInfo& info : engine.tensors())
    if (info.name == name) {
      Values values(static_cast<size_t>(info.count()));
      engine.read(name, slot, values.data());
      return values;
    }
  FAIL("no tensor " << name);
  return {};
}

// Every number of the engine's state.
inline std::map<std::string, Values> snapshot(const Engine& engine) {
  std::map<std::string, Values> state;
  for (const TensorInfo& info : engine.tensors()) {
    state[info.name] = read(engine, info.name);
    if (!info.trainable) continue;
    for (const Slot slot : {Slot::Gradient, Slot::First, Slot::Second})
      state[info.name + "#" + std::to_string(static_cast<int>(slot))] = read(engine, info.name, slot);
  }
  return state;
}

inline Values embed(Engine& engine, const Batch& batch) {
  Values out(static_cast<size_t>(batch.count) * static_cast<size_t>(engine.feature_size()));
  engine.embed(batch, out.data());
  return out;
}

inline double loss(const Losses& losses, const std::string& name) {
  for (const auto& [term, value] : losses)
    if (term == name) return value;
  FAIL("no loss term " << name);
  return 0;
}

inline void check_close(const Values& got, const Values& expected, double tolerance) {
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); i++)
    if (!(std::fabs(got[i] - expected[i]) <= tolerance * (1 + std::fabs(expected[i])))) {
      FAIL_CHECK("element " << i << ": got " << got[i] << ", expected " << expected[i]);
      return;
    }
}

inline constexpr Precision kPrecisions[] = {Precision::f32, Precision::f64};

}  // namespace mpanet
