// y = max(x, 0), NaN for NaN;  dx = dy where y > 0, else 0
#include "kernels/cpu/convert.h"
#include "kernels/cpu/rows.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {
void relu_forward(Stream, const storage* x, storage* y, int64_t count) {
  for_each_run(count, [=](int64_t first, int64_t length) {
    Row<kRun> buffer_x, buffer_y;
    const real* from = buffer_x.read(x + first, length);
    real* to = buffer_y.open(y + first, length, Write::Set);
#pragma omp simd
    for (int64_t i = 0; i < length; i++) to[i] = rectify(from[i]);
    buffer_y.save(y + first, length);
  });
}

void relu_backward(Stream, const storage* dy, const storage* y, storage* dx, int64_t count, Write write) {
  for_each_run(count, [=](int64_t first, int64_t length) {
    Row<kRun> buffer_dy, buffer_y, buffer_dx;
    const real *g = buffer_dy.read(dy + first, length), *result = buffer_y.read(y + first, length);
    real* to = buffer_dx.open(dx + first, length, write);
#pragma omp simd
    for (int64_t i = 0; i < length; i++) {
      const real value = g[i];
      put(to[i], result[i] > 0 ? value : real{0}, write);
    }
    buffer_dx.save(dx + first, length);
  });
}

}  // namespace mpanet::PRECISION::cpu
