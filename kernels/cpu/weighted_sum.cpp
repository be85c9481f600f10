// The total loss: sum of weight * term.
#include "kernels/cpu/convert.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {
void weighted_sum_forward(Stream, const Terms& terms, real* total) {
  real sum = 0;
  for (int i = 0; i < terms.count; i++) sum += terms.weight[i] * *terms.value[i];
  *total = sum;
}

void weighted_sum_backward(Stream, const real* dtotal, real weight, real* dvalue, Write write) {
  put(*dvalue, weight * *dtotal, write);
}

}  // namespace mpanet::PRECISION::cpu
