// The total loss: sum of weight * term.
#include "kernels/cpu/convert.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {
void weighted_sum_forward(Stream, const Terms& terms, real* total, real* record) {
  real sum = 0;
  for (int i = 0; i < terms.count; i++) sum += terms.weight[i] * *terms.value[i];
  *total = sum;
  if (record == nullptr) return;
  for (int i = 0; i < terms.count; i++) record[i] = *terms.value[i];
  record[terms.count] = sum;
}

void weighted_sum_backward(Stream, const real* dtotal, const Terms& terms, const TermGradients& gradients) {
  for (int i = 0; i < terms.count; i++) put(*gradients.to[i], terms.weight[i] * *dtotal, gradients.write[i]);
}

}  // namespace mpanet::PRECISION::cpu
