// The total of a step's losses: total = sum of weight * value, dvalue = weight * dtotal. One thread adds scalars in
// device memory, so that the host does not wait for them. Loops have a known number of turns: an index that is not
// known at compile time would copy the arguments to the stack.
#include <iterator>

#include "kernels/cuda/numeric.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr int kMost = static_cast<int>(std::size(Terms{}.value));

__global__ void total_kernel(Terms terms, real* total, real* record) {
  real sum = 0;
  UNROLL
  for (int i = 0; i < kMost; i++) {
    if (i >= terms.count) continue;
    const real value = *terms.value[i];
    sum += terms.weight[i] * value;
    if (record != nullptr) record[i] = value;
  }
  *total = sum;
  if (record != nullptr) record[terms.count] = sum;
}

// In order: two terms may have the same address.
__global__ void term_gradients_kernel(const real* dtotal, Terms terms, TermGradients gradients) {
  UNROLL
  for (int i = 0; i < kMost; i++)
    if (i < terms.count) put(*gradients.to[i], terms.weight[i] * *dtotal, gradients.write[i]);
}

}  // namespace

void weighted_sum_forward(Stream stream, const Terms& terms, real* total, real* record) {
  LAUNCH(total_kernel, 1, 1, 0, stream, terms, total, record);
}

void weighted_sum_backward(Stream stream, const real* dtotal, const Terms& terms, const TermGradients& gradients) {
  LAUNCH(term_gradients_kernel, 1, 1, 0, stream, dtotal, terms, gradients);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
