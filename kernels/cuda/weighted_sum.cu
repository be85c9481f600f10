// The total of a step's losses: total = sum of weight * value, dvalue = weight * dtotal. One thread adds scalars in
// device memory, so that the host does not wait for them.
#include <iterator>

#include "kernels/cuda/numeric.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

__global__ void total_kernel(Terms terms, real* total) {
  real sum = 0;
  for (int i = 0; i < static_cast<int>(std::size(terms.value)); i++)
    if (i < terms.count) sum += terms.weight[i] * *terms.value[i];
  *total = sum;
}

__global__ void term_gradient_kernel(const real* dtotal, real weight, real* dvalue, Write write) {
  put(*dvalue, weight * *dtotal, write);
}

}  // namespace

void weighted_sum_forward(Stream stream, const Terms& terms, real* total) {
  LAUNCH(total_kernel, 1, 1, 0, stream, terms, total);
}

void weighted_sum_backward(Stream stream, const real* dtotal, real weight, real* dvalue, Write write) {
  LAUNCH(term_gradient_kernel, 1, 1, 0, stream, dtotal, weight, dvalue, write);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
