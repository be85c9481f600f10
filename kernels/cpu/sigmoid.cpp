// y = 1 / (1 + exp(-x));  dx = dy y (1 - y)
#include <cmath>

#include "kernels/cpu/convert.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {
void sigmoid_forward(Stream, const real* x, real* y, int64_t count) {
#pragma omp parallel for schedule(static) if (count > kSerialCount)
  for (int64_t i = 0; i < count; i++) y[i] = real{1} / (real{1} + std::exp(-x[i]));
}

void sigmoid_backward(Stream, const real* dy, const real* y, real* dx, int64_t count, Write write) {
#pragma omp parallel for simd schedule(static) if (parallel : count > kSerialCount)
  for (int64_t i = 0; i < count; i++) put(dx[i], dy[i] * y[i] * (real{1} - y[i]), write);
}

}  // namespace mpanet::PRECISION::cpu
