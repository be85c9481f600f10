#include "tests/support/rounded_network.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "core/base/real.h"
#include "mpanet/network/network.h"
#include "tests/support/tf32.h"

namespace mpanet {
namespace {

// 1 + the perturbation of the current run.
double factor = 1;

template <class T>
double rounded_to(double value) {
  return static_cast<double>(static_cast<float>(static_cast<T>(static_cast<float>(value * factor)))) / factor;
}

// In a perturbed run to 19 bits: an engine's sums in float are wrong by as much, though it stores 24 bits.
double rounded_to_float(double value) {
  if (factor == 1) return static_cast<double>(static_cast<float>(value));
  constexpr uint64_t kDropped = 53 - 19;
  const uint64_t half = uint64_t{1} << (kDropped - 1), bits = std::bit_cast<uint64_t>(value * factor);
  return std::bit_cast<double>((bits + half) & ~(2 * half - 1)) / factor;
}

double operand_to_tf32(double value) { return rounded_to_tf32(value * factor) / factor; }

// Calls body(index in PyTorch's order, index in memory): OIHW against OHWI.
template <class Body>
void each_element(const rounded::Parameter& p, const Body& body) {
  const bool filter = p.shape.size() == 4;
  const int64_t c = filter ? p.shape[1] : 1, area = filter ? p.shape[2] * p.shape[3] : 1;
  for (int64_t i = 0; i < p.count; i++) {
    const int64_t a = i % area, j = i / area % c, k = i / area / c;
    body(static_cast<size_t>(i), static_cast<size_t>((k * area + a) * c + j));
  }
}

}  // namespace

// As large as the errors of some sums in float, or some times more. A thousandth to a hundredth of the numbers of bf16
// and some hundredths of those of f16 and TF32 are rounded to the other neighbour. With one run of seven perturbed in
// place of an engine's, in 53 pairs of seeds and sizes, tensors had more than twice the error of one other run in 61 of
// 371 cases, of four other runs in 6.
const std::array<double, kMostPerturbations> kPerturbations = {0x1p-20, -0x1p-20, 0x1p-19, -0x1p-19,
                                                               0x1p-18, -0x1p-18, 0x1p-17};

size_t perturbed_runs(Precision precision) { return precision == Precision::bf16 ? 3 : kMostPerturbations; }

void perturb_roundings(double perturbation) { factor = 1 + perturbation; }

void rounded::set_rounding(Rounding stored, Rounding operand) {
  storage_format::rounding = stored;
  operand_rounding = operand;
}

double (*rounding_of(Precision precision))(double) {
  switch (precision) {
    case Precision::bf16:
      return rounded_to<bfloat16>;
    case Precision::f16:
      return rounded_to<float16>;
    case Precision::f32:
      return rounded_to_float;
    case Precision::tf32:
    case Precision::f64:
      break;
  }
  return [](double value) { return value; };
}

// Numbers of bf16 and f16, which the convolutions of these multiply, are unchanged.
double (*operand_rounding_of(Precision precision))(double) {
  if (precision != Precision::f32 && precision != Precision::f64) return operand_to_tf32;
  return [](double value) { return value; };
}

struct RoundedNetwork::Body {
  explicit Body(const EngineConfig& given) : config(given), context(Backend::cpu), network(context, given) {}
  EngineConfig config;
  Context context;
  rounded::Network network;
  std::map<std::string, std::vector<double>> values;  // copied ones, in memory's order

  void reset() {
    for (rounded::Parameter& p : network.store.list())
      context.to_device(p.value, values.at(p.name).data(), static_cast<size_t>(p.count) * sizeof(double));
    network.store.changed(context);
  }

  std::vector<double> read(const rounded::Parameter& p, const double* memory) {
    std::vector<double> values(static_cast<size_t>(p.count)), out(values.size());
    context.to_host(values.data(), memory, values.size() * sizeof(double));
    each_element(p, [&](size_t outside, size_t inside) { out[outside] = values[inside]; });
    return out;
  }
};

RoundedNetwork::RoundedNetwork(const EngineConfig& config) {
  rounded::set_rounding(rounding_of(config.precision), operand_rounding_of(config.precision));
  EngineConfig own = config;
  own.device = Backend::cpu;
  own.vendors = {};
  body_ = std::make_unique<Body>(own);
}
RoundedNetwork::~RoundedNetwork() = default;

void RoundedNetwork::copy_values(const EngineState& from) {
  for (const rounded::Parameter& p : body_->network.store.list()) {
    std::vector<double> values(static_cast<size_t>(p.count));
    std::vector<double>& inside = body_->values[p.name];
    inside.resize(values.size());
    from.read(p.name, Slot::Value, values.data());
    each_element(p, [&](size_t out, size_t in) { inside[in] = values[out]; });
  }
  body_->reset();
}

std::vector<double> RoundedNetwork::embed(const Batch& batch) {
  const EngineConfig& config = body_->config;
  MPANET_CHECK(batch.count == config.embed_batch, "expected {} pictures, got {}", config.embed_batch, batch.count);
  rounded::upload_images(body_->context, body_->network, batch);
  rounded::take_images(body_->context, body_->network, config, batch.form, batch.count, batch.count);
  return rounded::run_embedding(body_->context, body_->network, config).f.to_host();
}

RoundedNetwork::Step RoundedNetwork::run(const Batch& batch, int epoch, double loss_scale, double perturbation) {
  perturb_roundings(perturbation);
  body_->reset();
  Context& context = body_->context;
  rounded::Network& network = body_->network;
  const int n = body_->config.train_batch;
  MPANET_CHECK(batch.count == n, "expected {} pictures, got {}", n, batch.count);
  const StepState state{.loss_scale = loss_scale};
  context.to_device(network.state(), &state, sizeof state);
  const StepRates rates{0, body_->config.model.update_rate * std::min(100.0 / (epoch + 1), 1.0)};
  rounded::send_input(context, network, rates, batch.labels, batch.infrared, {});
  rounded::upload_images(context, network, batch);
  rounded::take_images(context, network, body_->config, batch.form, n, n);
  const std::vector<std::string> terms = rounded::run_training(context, network, body_->config);
  std::vector<double> values(terms.size());
  context.to_host(values.data(), network.terms(), values.size() * sizeof(double));
  Step step;
  for (size_t i = 0; i < terms.size(); i++) step.losses.emplace_back(terms[i], values[i]);
  for (const rounded::Parameter& p : network.store.list()) {
    std::vector<double>& tensor = step.tensors[p.name] = body_->read(p, p.trainable ? p.gradient : p.value);
    if (p.trainable)
      for (double& v : tensor) v /= loss_scale;
  }
  factor = 1;
  return step;
}

}  // namespace mpanet
