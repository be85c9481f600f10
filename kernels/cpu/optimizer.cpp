// Parameter updates like PyTorch 2's, with weight decay added to the gradient (docs/method.md, section 3):
//   Adam   m += (1 - b1) (g - m),  v = b2 v + (1 - b2) g^2,
//          value -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
//   SGD    u = g on the first step, then momentum u + g;  value -= lr u
// Scalars are computed in double in every precision.
#include <cmath>

#include "core/base/error.h"
#include "kernels/cpu/convert.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {

void teacher_update(Stream, const StepState* state, const real* live, real* teacher, int64_t count) {
  const real keep = static_cast<real>(1.0 - state->teacher_rate), take = static_cast<real>(state->teacher_rate);
#pragma omp parallel for simd schedule(static) if (parallel : count > kSerialCount)
  for (int64_t i = 0; i < count; i++) teacher[i] = keep * teacher[i] + take * live[i];
}

void adam_step(Stream, const StepState* state, const AdamSettings& settings, const real* gradient, real* first,
               real* second, real* value, int64_t count) {
  MPANET_CHECK(state->step >= 1, "expected a step from 1, got {}", state->step);
  const auto step = static_cast<double>(state->step);
  const double correction1 = 1.0 - std::pow(settings.beta1, step), correction2 = 1.0 - std::pow(settings.beta2, step);
  const real rate = static_cast<real>(state->learning_rate / correction1);
  const real root = static_cast<real>(std::sqrt(correction2));
  const real eps = static_cast<real>(settings.eps), decay = static_cast<real>(settings.weight_decay);
  const real take1 = static_cast<real>(1.0 - settings.beta1), beta2 = static_cast<real>(settings.beta2);
  const real take2 = static_cast<real>(1.0 - settings.beta2);
#pragma omp parallel for simd schedule(static) if (parallel : count > kSerialCount)
  for (int64_t i = 0; i < count; i++) {
    const real g = gradient[i] + decay * value[i];
    const real m = first[i] + take1 * (g - first[i]);
    const real v = beta2 * second[i] + take2 * g * g;
    first[i] = m;
    second[i] = v;
    value[i] -= rate * (m / (std::sqrt(v) / root + eps));
  }
}

void sgd_step(Stream, const StepState* state, const SgdSettings& settings, const real* gradient, real* momentum,
              real* value, int64_t count) {
  MPANET_CHECK(state->step >= 1, "expected a step from 1, got {}", state->step);
  const real rate = static_cast<real>(state->learning_rate), decay = static_cast<real>(settings.weight_decay);
  const real keep = state->step == 1 ? real{0} : static_cast<real>(settings.momentum);
#pragma omp parallel for simd schedule(static) if (parallel : count > kSerialCount)
  for (int64_t i = 0; i < count; i++) {
    const real u = keep * momentum[i] + (gradient[i] + decay * value[i]);
    momentum[i] = u;
    value[i] -= rate * u;
  }
}

}  // namespace mpanet::PRECISION::cpu
