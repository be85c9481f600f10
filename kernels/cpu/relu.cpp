// y = max(x, 0), NaN for NaN;  dx = dy where y > 0, else 0
#include "kernels/cpu/convert.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {
void relu_forward(Stream, const storage* x, storage* y, int64_t count) {
#pragma omp parallel for simd schedule(static) if (parallel : count > kSerialCount)
  for (int64_t i = 0; i < count; i++) y[i] = store<storage>(rectify(load(x[i])));
}

void relu_backward(Stream, const storage* dy, const storage* y, storage* dx, int64_t count, Write write) {
#pragma omp parallel for simd schedule(static) if (parallel : count > kSerialCount)
  for (int64_t i = 0; i < count; i++) {
    const real g = load(dy[i]);
    put(dx[i], load(y[i]) > 0 ? g : real{0}, write);
  }
}

}  // namespace mpanet::PRECISION::cpu
