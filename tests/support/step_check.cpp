#include "tests/support/step_check.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"

namespace mpanet {
namespace {

EngineConfig in_double(EngineConfig config) {
  config.precision = Precision::f64;
  config.device = Backend::cpu;
  config.vendors = {};
  return config;
}

std::vector<double> read(const EngineState& engine, const TensorInfo& tensor, Slot slot) {
  std::vector<double> values(static_cast<size_t>(tensor.count()));
  engine.read(tensor.name, slot, values.data());
  return values;
}

std::vector<double> values_of(const Losses& losses) {
  std::vector<double> values;
  for (const auto& [name, value] : losses) values.push_back(value);
  return values;
}

bool all_finite(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

// Bound of a loss term's relative error (terms below 0.1: relative to 0.1). With ten pairs of seeds and sizes the
// largest error was 4e-6 in f32 and 0.015 in bf16, from sums in another order and from the roundings of stored
// features.
double loss_tolerance(Precision precision) { return precision == Precision::f32 ? 1e-4 : 0.05; }

}  // namespace

StepCheck::StepCheck(const EngineConfig& config)
    : config_(config), exact_(make_engine(in_double(config))), rounded_(config) {}

void StepCheck::begin(const EngineState& engine) {
  for (const TensorInfo& tensor : engine.tensors())
    exact_->write(tensor.name, Slot::Value, read(engine, tensor, Slot::Value).data());
  rounded_.copy_values(engine);
}

bool StepCheck::compare(const Engine& engine, const Batch& batch, int epoch, double loss_scale) {
  exact_->forward_backward(batch, epoch);
  const RoundedNetwork::Step rounded = rounded_.run(batch, epoch, loss_scale);
  for (const TensorInfo& tensor : engine.tensors())
    if (tensor.trainable &&
        !(all_finite(read(engine, tensor, Slot::Gradient)) && all_finite(rounded.tensors.at(tensor.name))))
      return false;
  const Losses got = engine.result().losses, expected = exact_->result().losses;
  MPANET_CHECK(got.size() == expected.size(), "{} loss terms, expected {}", got.size(), expected.size());
  terms_.add(values_of(got), values_of(expected), values_of(rounded.losses));
  for (size_t i = 0; i < expected.size(); i++)
    losses_.see(std::fabs(got[i].second - expected[i].second) / std::max(std::fabs(expected[i].second), 0.1),
                loss_tolerance(config_.precision), expected[i].first);
  for (const TensorInfo& tensor : engine.tensors()) {
    const Slot slot = tensor.trainable ? Slot::Gradient : Slot::Value;
    if (!tensor.trainable && tensor.name.ends_with(".bias"))
      continue;  // frozen: it has no gradient and does not change
    (tensor.trainable ? gradients_ : buffers_)[tensor.name].add(read(engine, tensor, slot), read(*exact_, tensor, slot),
                                                                rounded.tensors.at(tensor.name));
  }
  return true;
}

void StepCheck::compare_embedding(Engine& engine, const Batch& batch) {
  begin(engine);
  std::vector<double> got(static_cast<size_t>(batch.count) * static_cast<size_t>(engine.feature_size()));
  std::vector<double> expected(got.size());
  engine.embed(batch, got.data());
  exact_->embed(batch, expected.data());
  embedding_.add(got, expected, rounded_.embed(batch));
}

StepCheck::Result StepCheck::result(double along_below, double tensor_wider) const {
  Result result;
  result.terms = terms_;
  result.embedding = embedding_;
  result.losses = losses_;
  // Relative to a tensor's norm: sums of hundreds of floats in another order. A mean may be smaller than its values.
  constexpr double kSums = 64 * 0x1p-24, kMeans = 256 * 0x1p-24;
  const auto rounding =
      config_.precision == Precision::f32 ? RoundedError::Rounding::Sums : RoundedError::Rounding::Storage;
  for (const auto& [name, error] : gradients_) result.all.add(error);
  const double whole = tensor_wider > 1 ? 2 * result.all.rounding_error() : 0;
  const auto see = [&](const std::string& name, const RoundedError& error, double floor) {
    Worst worst;
    error.see(rounding, std::max(floor, whole), name, worst, tensor_wider > 1 ? along_below / 10 : along_below,
              tensor_wider);
    if (!worst.within()) result.wrong.push_back(name);
    result.tensors.see(worst);
  };
  for (const auto& [name, error] : gradients_) {
    see(name, error, kSums);
    result.gradients++;
  }
  for (const auto& [name, error] : buffers_) {
    see(name, error, kMeans);
    result.buffers++;
  }
  if (result.gradients > 0) result.all.see(rounding, kSums, "all gradients", result.tensors, along_below);
  return result;
}

}  // namespace mpanet
