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

RoundedError::Rounding kind_of(Precision precision) {
  return precision == Precision::f32 ? RoundedError::Rounding::Sums : RoundedError::Rounding::Storage;
}

// Bound of a loss term's relative error (terms below 0.1: relative to 0.1). With ten pairs of seeds and sizes the
// largest error was 4e-6 in f32 and 0.015 in bf16, from sums in another order and from the roundings of stored
// features. An error of twice the rounded network's is allowed too: with four pictures both had 0.11 in KL.
double loss_tolerance(Precision precision) { return precision == Precision::f32 ? 1e-4 : 0.05; }

}  // namespace

StepCheck::StepCheck(const EngineConfig& config, double along_below, double tensor_along_below)
    : config_(config),
      along_below_(along_below),
      tensor_along_below_(tensor_along_below),
      exact_(make_engine(in_double(config))),
      rounded_(config) {}

void StepCheck::begin(const EngineState& engine) {
  for (const TensorInfo& tensor : engine.tensors())
    exact_->write(tensor.name, Slot::Value, read(engine, tensor, Slot::Value).data());
  rounded_.copy_values(engine);
}

void StepCheck::Sums::add(const Sums& other) {
  for (const auto& [name, error] : other.gradients) gradients[name].add(error);
  for (const auto& [name, error] : other.buffers) buffers[name].add(error);
  losses.see(other.losses);
  terms.add(other.terms);
}

// A step that is within the bounds needs no other run: more runs only widen the bounds.
bool StepCheck::compare(const Engine& engine, const Batch& batch, int epoch, double loss_scale) {
  exact_->forward_backward(batch, epoch);
  Runs runs;
  const auto run = [&](double perturbation) {
    runs.push_back(rounded_.run(batch, epoch, loss_scale, perturbation));
    for (const TensorInfo& tensor : engine.tensors())
      if (tensor.trainable && !all_finite(runs.back().tensors.at(tensor.name))) return false;
    return true;
  };
  for (const TensorInfo& tensor : engine.tensors())
    if (tensor.trainable && !all_finite(read(engine, tensor, Slot::Gradient))) return false;
  if (!run(0)) return false;
  Sums step = compared(engine, runs);
  const auto within = [&] {
    Worst terms;
    step.terms.see(kind_of(config_.precision), 0, "", terms, along_below_);
    return terms.within() && result_of(step).within();
  };
  for (size_t i = 0; i < perturbed_runs(config_.precision) && !within(); i++) {
    if (!run(kPerturbations[i])) return false;
    step = compared(engine, runs);
  }
  sums_.add(step);
  return true;
}

// As many runs as there may be, so that steps can be added: missing ones equal the first.
StepCheck::Sums StepCheck::compared(const Engine& engine, const Runs& runs) const {
  const auto each_run = [&](const auto& vector_of) {
    std::vector<const std::vector<double>*> vectors(1 + kMostPerturbations, vector_of(runs.front()));
    for (size_t run = 0; run < runs.size(); run++) vectors[run] = vector_of(runs[run]);
    return vectors;
  };
  Sums sums;
  const Losses got = engine.result().losses, expected = exact_->result().losses;
  MPANET_CHECK(got.size() == expected.size(), "{} loss terms, expected {}", got.size(), expected.size());
  std::map<const RoundedNetwork::Step*, std::vector<double>> terms;
  for (const RoundedNetwork::Step& run : runs) terms[&run] = values_of(run.losses);
  const auto rounded_terms = each_run([&](const RoundedNetwork::Step& run) { return &terms.at(&run); });
  sums.terms.add(values_of(got), values_of(expected), rounded_terms);
  for (size_t i = 0; i < expected.size(); i++) {
    const double truth = expected[i].second, unit = std::max(std::fabs(truth), 0.1);
    double rounding = 0;
    for (const std::vector<double>* run : rounded_terms)
      rounding = std::max(rounding, std::fabs((*run)[i] - truth) / unit);
    sums.losses.see(std::fabs(got[i].second - truth) / unit, std::max(loss_tolerance(config_.precision), 2 * rounding),
                    expected[i].first);
  }
  for (const TensorInfo& tensor : engine.tensors()) {
    const Slot slot = tensor.trainable ? Slot::Gradient : Slot::Value;
    if (!tensor.trainable && tensor.name.ends_with(".bias"))
      continue;  // frozen: it has no gradient and does not change
    (tensor.trainable ? sums.gradients : sums.buffers)[tensor.name].add(
        read(engine, tensor, slot), read(*exact_, tensor, slot),
        each_run([&](const RoundedNetwork::Step& run) { return &run.tensors.at(tensor.name); }));
  }
  return sums;
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

StepCheck::Result StepCheck::result() const {
  Result result = result_of(sums_);
  result.terms = sums_.terms;
  result.embedding = embedding_;
  return result;
}

StepCheck::Result StepCheck::result_of(const Sums& sums) const {
  Result result;
  result.losses = sums.losses;
  // Relative to a tensor's norm: sums of hundreds of floats in another order. A mean may be smaller than its values.
  constexpr double kSums = 64 * 0x1p-24, kMeans = 256 * 0x1p-24;
  const auto rounding = kind_of(config_.precision);
  const auto see = [&](const std::string& name, const RoundedError& error, double floor) {
    Worst worst;
    error.see(rounding, floor, name, worst, tensor_along_below_, error.along_bound());
    if (!worst.within()) result.wrong.push_back(name);
    result.tensors.see(worst);
  };
  for (const auto& [name, error] : sums.gradients) {
    see(name, error, kSums);
    result.all.add(error);
    result.gradients++;
  }
  for (const auto& [name, error] : sums.buffers) {
    see(name, error, kMeans);
    result.buffers++;
  }
  if (result.gradients > 0) result.all.see(rounding, kSums, "all gradients", result.tensors, along_below_);
  return result;
}

}  // namespace mpanet
