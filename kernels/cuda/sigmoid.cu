// y = 1 / (1 + exp(-x));  dx = dy y (1 - y)
// Inputs and outputs move once, in whole sectors (Write::Add reads its output too).
#include "kernels/cuda/elementwise.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

__global__ void __launch_bounds__(kPackThreads)
    sigmoid_forward_kernel(const real* x, real* y, int64_t count, bool packed) {
  each_pack<kFull<real>>(count, packed, [&]<int N>(int64_t i) {
    real v[N];
    load_lanes(x + i, v);
    UNROLL
    for (int j = 0; j < N; j++) v[j] = 1 / (1 + exp(-v[j]));
    put_lanes(y + i, v, Write::Set);
  });
}

__global__ void __launch_bounds__(kPackThreads)
    sigmoid_backward_kernel(const real* dy, const real* y, real* dx, int64_t count, bool packed, Write write) {
  each_pack<kFull<real>>(count, packed, [&]<int N>(int64_t i) {
    real g[N], v[N];
    load_lanes(dy + i, g);
    load_lanes(y + i, v);
    UNROLL
    for (int j = 0; j < N; j++) g[j] = g[j] * v[j] * (1 - v[j]);
    put_lanes(dx + i, g, write);
  });
}

}  // namespace

void sigmoid_forward(Stream stream, const real* x, real* y, int64_t count) {
  const bool packed = packs_fit(0, x, y);
  LAUNCH(sigmoid_forward_kernel, pack_blocks<kFull<real>>(count, packed), kPackThreads, 0, stream, x, y, count, packed);
}

void sigmoid_backward(Stream stream, const real* dy, const real* y, real* dx, int64_t count, Write write) {
  const bool packed = packs_fit(0, dy, y, dx);
  LAUNCH(sigmoid_backward_kernel, pack_blocks<kFull<real>>(count, packed), kPackThreads, 0, stream, dy, y, dx, count,
         packed, write);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
