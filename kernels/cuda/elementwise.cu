// Elementwise operations. One thread per pack of elements (16 bytes of the wider side); the elements after the last
// whole pack, or all of them where an address is odd, are done one by one by the threads that come next.
//   relu        y = max(x, 0), a NaN stays one;  dx = dy where y > 0, else 0
//   sigmoid     y = 1 / (1 + exp(-x));           dx = dy y (1 - y)
//   cast        real or float to storage;  set_value, accumulate: to = value, to (+)= from
// Every kernel moves what it must, in whole sectors: inputs once, outputs once (Write::Add reads its output too). ReLU
// after conv1 in bf16, 128 x 192 x 64 x 64: 201 MB read and 201 MB written.
#include "kernels/cuda/numeric.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr int kThreads = 256;
// Packs between two types: their wider one fills 16 bytes.
constexpr int kCastLanes = kFull<real>;
constexpr int kImageLanes = kFull<storage> < kFull<float> ? kFull<storage> : kFull<float>;

// body.operator()<N>(i) handles elements i .. i + M - 1 with M = N, or M = 1.
template <int N, class Body>
__device__ void each_pack(int64_t count, bool packed, const Body& body) {
  const int64_t thread = int64_t{blockIdx.x} * kThreads + threadIdx.x, packs = packed ? count / N : 0;
  if (thread < packs) return body.template operator()<N>(thread * N);
  const int64_t i = packs * N + (thread - packs);
  if (i < count) body.template operator()<1>(i);
}

template <int N>
dim3 blocks_for(int64_t count, bool packed) {
  const int64_t blocks = divide_up(packed ? count / N + count % N : count, kThreads);
  KERNEL_CHECK(blocks < int64_t{1} << 31, "at most 2^31 blocks");
  return dim3(static_cast<unsigned>(blocks));
}

__global__ void __launch_bounds__(kThreads)
    relu_forward_kernel(const storage* x, storage* y, int64_t count, bool packed) {
  each_pack<kFull<storage>>(count, packed, [&]<int N>(int64_t i) {
    real v[N];
    load_lanes(x + i, v);
    UNROLL for (int j = 0; j < N; j++) v[j] = rectify(v[j]);
    put_lanes(y + i, v, Write::Set);
  });
}

__global__ void __launch_bounds__(kThreads)
    relu_backward_kernel(const storage* dy, const storage* y, storage* dx, int64_t count, bool packed, Write write) {
  each_pack<kFull<storage>>(count, packed, [&]<int N>(int64_t i) {
    real g[N], v[N];
    load_lanes(dy + i, g);
    load_lanes(y + i, v);
    UNROLL for (int j = 0; j < N; j++) g[j] = v[j] > 0 ? g[j] : real{0};
    put_lanes(dx + i, g, write);
  });
}

__global__ void __launch_bounds__(kThreads) sigmoid_forward_kernel(const real* x, real* y, int64_t count, bool packed) {
  each_pack<kFull<real>>(count, packed, [&]<int N>(int64_t i) {
    real v[N];
    load_lanes(x + i, v);
    UNROLL for (int j = 0; j < N; j++) v[j] = 1 / (1 + exp(-v[j]));
    put_lanes(y + i, v, Write::Set);
  });
}

__global__ void __launch_bounds__(kThreads)
    sigmoid_backward_kernel(const real* dy, const real* y, real* dx, int64_t count, bool packed, Write write) {
  each_pack<kFull<real>>(count, packed, [&]<int N>(int64_t i) {
    real g[N], v[N];
    load_lanes(dy + i, g);
    load_lanes(y + i, v);
    UNROLL for (int j = 0; j < N; j++) g[j] = g[j] * v[j] * (1 - v[j]);
    put_lanes(dx + i, g, write);
  });
}

// From float, which real is not in f64, or from real: neither is `load`ed, both convert to real by themselves.
template <int kLanes, class From>
__global__ void __launch_bounds__(kThreads) cast_kernel(const From* from, storage* to, int64_t count, bool packed) {
  each_pack<kLanes>(count, packed, [&]<int N>(int64_t i) {
    real v[N];
    load_lanes(from + i, v);
    put_lanes(to + i, v, Write::Set);
  });
}

__global__ void __launch_bounds__(kThreads) set_value_kernel(real* to, int64_t count, real value, bool packed) {
  each_pack<kFull<real>>(count, packed, [&]<int N>(int64_t i) {
    real v[N];
    UNROLL for (int j = 0; j < N; j++) v[j] = value;
    put_lanes(to + i, v, Write::Set);
  });
}

__global__ void __launch_bounds__(kThreads)
    accumulate_kernel(const real* from, real* to, int64_t count, bool packed, Write write) {
  each_pack<kFull<real>>(count, packed, [&]<int N>(int64_t i) {
    real v[N];
    load_lanes(from + i, v);
    put_lanes(to + i, v, write);
  });
}

}  // namespace

void relu_forward(Stream stream, const storage* x, storage* y, int64_t count) {
  const bool packed = packs_fit(0, x, y);
  LAUNCH(relu_forward_kernel, blocks_for<kFull<storage>>(count, packed), kThreads, 0, stream, x, y, count, packed);
}

void relu_backward(Stream stream, const storage* dy, const storage* y, storage* dx, int64_t count, Write write) {
  const bool packed = packs_fit(0, dy, y, dx);
  LAUNCH(relu_backward_kernel, blocks_for<kFull<storage>>(count, packed), kThreads, 0, stream, dy, y, dx, count, packed,
         write);
}

void sigmoid_forward(Stream stream, const real* x, real* y, int64_t count) {
  const bool packed = packs_fit(0, x, y);
  LAUNCH(sigmoid_forward_kernel, blocks_for<kFull<real>>(count, packed), kThreads, 0, stream, x, y, count, packed);
}

void sigmoid_backward(Stream stream, const real* dy, const real* y, real* dx, int64_t count, Write write) {
  const bool packed = packs_fit(0, dy, y, dx);
  LAUNCH(sigmoid_backward_kernel, blocks_for<kFull<real>>(count, packed), kThreads, 0, stream, dy, y, dx, count, packed,
         write);
}

void cast_to_storage(Stream stream, const real* from, storage* to, int64_t count) {
  const bool packed = packs_fit(0, from, to);
  LAUNCH((cast_kernel<kCastLanes, real>), blocks_for<kCastLanes>(count, packed), kThreads, 0, stream, from, to, count,
         packed);
}

void cast_images(Stream stream, const float* from, storage* to, int64_t count) {
  const bool packed = packs_fit(0, from, to);
  LAUNCH((cast_kernel<kImageLanes, float>), blocks_for<kImageLanes>(count, packed), kThreads, 0, stream, from, to,
         count, packed);
}

void set_value(Stream stream, real* to, int64_t count, real value) {
  const bool packed = packs_fit(0, to);
  LAUNCH(set_value_kernel, blocks_for<kFull<real>>(count, packed), kThreads, 0, stream, to, count, value, packed);
}

void accumulate(Stream stream, const real* from, real* to, int64_t count, Write write) {
  const bool packed = packs_fit(0, from, to);
  LAUNCH(accumulate_kernel, blocks_for<kFull<real>>(count, packed), kThreads, 0, stream, from, to, count, packed,
         write);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
