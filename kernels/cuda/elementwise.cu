// Elementwise operations. One thread per pack of 16 bytes of storage; the elements after the last whole pack are done
// one by one by the threads that come next.
//   relu      y = max(x, 0);  dx = dy where y > 0          forward reads x, writes y; backward reads dy, y, writes dx
//   sigmoid   y = 1 / (1 + exp(-x));  dx = dy y (1 - y)    as relu
// Every kernel moves what it must: inputs once, outputs once (Write::Add reads its output too).
#include "kernels/cuda/numeric.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr int kThreads = 256;

// Runs body(i, lanes) for packs and single elements; body<N>(i) handles elements i .. i + N - 1.
template <class T, class Body>
__device__ void each_pack(int64_t count, bool packed, const Body& body) {
  constexpr int N = kFull<T>;
  const int64_t thread = int64_t{blockIdx.x} * kThreads + threadIdx.x, packs = packed ? count / N : 0;
  if (thread < packs) return body.template operator()<N>(thread * N);
  const int64_t i = packs * N + (thread - packs);
  if (i < count) body.template operator()<1>(i);
}

template <class T>
unsigned blocks_for(int64_t count, bool packed) {
  return static_cast<unsigned>(divide_up(packed ? count / kFull<T> + count % kFull<T> : count, kThreads));
}

__global__ void relu_forward_kernel(const storage* x, storage* y, int64_t count, bool packed) {
  each_pack<storage>(count, packed, [&]<int N>(int64_t i) {
    Pack<storage, N> v = load_pack<N>(x + i);
    for (int j = 0; j < N; j++) v.lane[j] = store<storage>(rectify(load(v.lane[j])));
    store_pack(y + i, v);
  });
}

}  // namespace

void relu_forward(Stream stream, const storage* x, storage* y, int64_t count) {
  const bool packed = packs_fit(0, x, y);
  LAUNCH(relu_forward_kernel, blocks_for<storage>(count, packed), kThreads, 0, stream, x, y, count, packed);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
