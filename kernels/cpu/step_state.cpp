// The state of a training step: the loss scale and the count of updates.
#include <algorithm>

#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {

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

}  // namespace mpanet::PRECISION::cpu
