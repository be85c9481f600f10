// Helpers for the tests of checkpoints and weights: a tiny network after some steps of training, and a file's tensors.
#pragma once
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "mpanet/config/config.h"
#include "mpanet/files/safetensors.h"
#include "mpanet/files/tensor_file.h"
#include "mpanet/network/engine.h"

namespace mpanet {

constexpr int kBatch = 4;

inline TrainConfig tiny_config(std::vector<std::string> settings = {}) {
  TrainConfig config;
  settings.insert(settings.begin(), {"depth=tiny", "image_size=32,16", "num_parts=3", "precision=f32"});
  for (const std::string& setting : settings) set_config(config, setting);
  config.model.classes = 9;
  return config;
}

inline std::unique_ptr<Engine> engine_of(const TrainConfig& config) {
  return make_engine({config.model, config.optimizer, *config.precision, Backend::cpu, kBatch, kBatch});
}

inline Batch some_batch(uint32_t index) {
  Batch batch;
  batch.count = kBatch, batch.height = 32, batch.width = 16;
  Random random(5, Purpose::Test, 0, index);
  for (int i = 0; i < kBatch * 32 * 16 * 3; i++) batch.images.push_back(static_cast<float>(random.normal()));
  batch.labels = {1, 1, 4, 4};
  batch.infrared = {1, 0, 1, 0};
  return batch;
}

// An engine after `steps` steps of training.
inline std::unique_ptr<Engine> trained(const TrainConfig& config, uint32_t steps) {
  auto engine = engine_of(config);
  engine->initialize(3);
  for (uint32_t i = 0; i < steps; i++) {
    engine->step(some_batch(i), 1e-3, 1);
  }
  return engine;
}

inline std::vector<double> values(const Engine& engine, const TensorInfo& tensor, Slot slot = Slot::Value) {
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

}  // namespace mpanet
