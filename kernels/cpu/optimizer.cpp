// Parameter updates like PyTorch 2's, with weight decay added to the gradient (docs/method.md, section 3):
//   Adam   m += (1 - b1) (g - m),  v = b2 v + (1 - b2) g^2,
//          value -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
//   SGD    u = g on the first step, then momentum u + g;  value -= lr u
// Scalars are computed in double in every precision.
#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "kernels/cpu/convert.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {
namespace {

// Calls body(i, gradient i divided by gradient_scale). Without a scale it multiplies by nothing, because a product
// could be contracted with the sum that follows, which rounds differently.
template <class Body>
void each_gradient(const StepState& state, const real* gradient, int64_t count, Body body) {
  if (state.gradient_scale == 1) {
#pragma omp parallel for simd schedule(static) firstprivate(body) if (parallel : count > kSerialCount)
    for (int64_t i = 0; i < count; i++) body(i, gradient[i]);
    return;
  }
  const real factor = static_cast<real>(1 / state.gradient_scale);
#pragma omp parallel for simd schedule(static) firstprivate(body) if (parallel : count > kSerialCount)
  for (int64_t i = 0; i < count; i++) body(i, factor * gradient[i]);
}

}  // namespace

void teacher_update(Stream, const StepRates* rates, const real* live, real* teacher, int64_t count) {
  const real keep = static_cast<real>(1.0 - rates->teacher_rate), take = static_cast<real>(rates->teacher_rate);
#pragma omp parallel for simd schedule(static) if (parallel : count > kSerialCount)
  for (int64_t i = 0; i < count; i++) teacher[i] = keep * teacher[i] + take * live[i];
}

void begin_backward(Stream, StepState* state, real* gradient) {
  state->gradient_scale = state->loss_scale;
  *gradient = static_cast<real>(state->loss_scale);
}

void begin_update(Stream, StepState* state, const LossScaling& scaling) {
  state->updated = state->finite;
  state->finite = 1;
  state->step += state->updated;
  if (scaling.steady_steps == 0) return;
  if (state->updated == 0) {
    state->loss_scale = std::max(1.0, state->loss_scale / 2);
    state->steady = 0;
  } else if (++state->steady == scaling.steady_steps) {
    state->loss_scale = std::min(scaling.largest, state->loss_scale * 2);
    state->steady = 0;
  }
}

void adam_step(Stream stream, const StepRates* rates, const StepState* state, const AdamSettings& settings,
               const real* gradient, real* first, real* second, real* value, int64_t count, storage* working,
               int64_t working_count) {
  if (state->updated == 0) return;
  MPANET_CHECK(state->step >= 1, "expected a step from 1, got {}", state->step);
  const auto step = static_cast<double>(state->step);
  const double correction1 = 1.0 - std::pow(settings.beta1, step), correction2 = 1.0 - std::pow(settings.beta2, step);
  const real rate = static_cast<real>(rates->learning_rate / correction1);
  const real root = static_cast<real>(std::sqrt(correction2));
  const real eps = static_cast<real>(settings.eps), decay = static_cast<real>(settings.weight_decay);
  const real take1 = static_cast<real>(1.0 - settings.beta1), beta2 = static_cast<real>(settings.beta2);
  const real take2 = static_cast<real>(1.0 - settings.beta2);
  each_gradient(*state, gradient, count, [=](int64_t i, real slope) {
    const real g = slope + decay * value[i];
    const real m = first[i] + take1 * (g - first[i]);
    const real v = beta2 * second[i] + take2 * g * g;
    first[i] = m;
    second[i] = v;
    value[i] -= rate * (m / (std::sqrt(v) / root + eps));
  });
  if (working_count > 0) cast_to_storage(stream, value, working, working_count);
}

void sgd_step(Stream stream, const StepRates* rates, const StepState* state, const SgdSettings& settings,
              const real* gradient, real* momentum, real* value, int64_t count, storage* working,
              int64_t working_count) {
  if (state->updated == 0) return;
  MPANET_CHECK(state->step >= 1, "expected a step from 1, got {}", state->step);
  const real rate = static_cast<real>(rates->learning_rate), decay = static_cast<real>(settings.weight_decay);
  const real keep = state->step == 1 ? real{0} : static_cast<real>(settings.momentum);
  each_gradient(*state, gradient, count, [=](int64_t i, real slope) {
    const real u = keep * momentum[i] + (slope + decay * value[i]);
    momentum[i] = u;
    value[i] -= rate * u;
  });
  if (working_count > 0) cast_to_storage(stream, value, working, working_count);
}

}  // namespace mpanet::PRECISION::cpu
