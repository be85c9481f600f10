#include "tests/support/step_check.h"

#include <algorithm>
#include <array>
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

// Of the rounded network's runs: as large as the errors of some sums in float. A thousandth of the numbers of bf16 and
// some hundredths of those of f16 and TF32 are rounded to the other neighbour. With one run of seven perturbed in place
// of an engine's, in 53 pairs of seeds and sizes, tensors had more than twice the error of one other run in 61 of 371
// cases, of four other runs in 6.
constexpr std::array kPerturbations = {0.0, 0x1p-20, -0x1p-20, 0x1p-19};

bool all_finite(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

// Bound of a loss term's relative error (terms below 0.1: relative to 0.1). With ten pairs of seeds and sizes the
// largest error was 4e-6 in f32 and 0.015 in bf16, from sums in another order and from the roundings of stored
// features. An error of twice the rounded network's is allowed too: with four pictures both had 0.11 in KL.
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
  std::vector<RoundedNetwork::Step> runs;
  for (const double perturbation : kPerturbations) runs.push_back(rounded_.run(batch, epoch, loss_scale, perturbation));
  const auto of_runs = [&](const std::string& name) {
    std::vector<const std::vector<double>*> tensors;
    for (const RoundedNetwork::Step& run : runs) tensors.push_back(&run.tensors.at(name));
    return tensors;
  };
  for (const TensorInfo& tensor : engine.tensors()) {
    if (!tensor.trainable) continue;
    if (!all_finite(read(engine, tensor, Slot::Gradient))) return false;
    for (const std::vector<double>* gradient : of_runs(tensor.name))
      if (!all_finite(*gradient)) return false;
  }
  const Losses got = engine.result().losses, expected = exact_->result().losses;
  MPANET_CHECK(got.size() == expected.size(), "{} loss terms, expected {}", got.size(), expected.size());
  std::vector<std::vector<double>> terms;
  for (const RoundedNetwork::Step& run : runs) terms.push_back(values_of(run.losses));
  std::vector<const std::vector<double>*> rounded_terms;
  for (const std::vector<double>& run : terms) rounded_terms.push_back(&run);
  terms_.add(values_of(got), values_of(expected), rounded_terms);
  for (size_t i = 0; i < expected.size(); i++) {
    const double truth = expected[i].second, unit = std::max(std::fabs(truth), 0.1);
    double rounding = 0;
    for (const std::vector<double>& run : terms) rounding = std::max(rounding, std::fabs(run[i] - truth) / unit);
    losses_.see(std::fabs(got[i].second - truth) / unit, std::max(loss_tolerance(config_.precision), 2 * rounding),
                expected[i].first);
  }
  for (const TensorInfo& tensor : engine.tensors()) {
    const Slot slot = tensor.trainable ? Slot::Gradient : Slot::Value;
    if (!tensor.trainable && tensor.name.ends_with(".bias"))
      continue;  // frozen: it has no gradient and does not change
    (tensor.trainable ? gradients_ : buffers_)[tensor.name].add(read(engine, tensor, slot), read(*exact_, tensor, slot),
                                                                of_runs(tensor.name));
  }
  return true;
}

void StepCheck::compare_embedding(Engine& engine, const Batch& batch) {
  begin(engine);
  std::vector<double> got(static_cast<size_t>(batch.count) * static_cast<size_t>(engine.feature_size()));
  std::vector<double> expected(got.size());
  engine.embed(batch, got.data());
  exact_->embed(batch, expected.data());
  const std::vector<double> rounded = rounded_.embed(batch);
  embedding_.add(got, expected, {&rounded});
}

StepCheck::Result StepCheck::result(double along_below, double tensor_along_below) const {
  Result result;
  result.terms = terms_;
  result.embedding = embedding_;
  result.losses = losses_;
  // Relative to a tensor's norm: sums of hundreds of floats in another order. A mean may be smaller than its values.
  constexpr double kSums = 64 * 0x1p-24, kMeans = 256 * 0x1p-24;
  const auto rounding =
      config_.precision == Precision::f32 ? RoundedError::Rounding::Sums : RoundedError::Rounding::Storage;
  const auto see = [&](const std::string& name, const RoundedError& error, double floor) {
    Worst worst;
    error.see(rounding, floor, name, worst, tensor_along_below);
    if (!worst.within()) result.wrong.push_back(name);
    result.tensors.see(worst);
  };
  for (const auto& [name, error] : gradients_) {
    see(name, error, kSums);
    result.all.add(error);
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
