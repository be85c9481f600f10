// Grid-stride loops over flat arrays of reals: packs of 16 bytes, then the remaining elements one by one.
#pragma once
#include "kernels/cuda/reduce.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

// An upper bound on the number of blocks, so that the work before a block's loop runs only a few times per
// multiprocessor.
constexpr int kFlatThreads = 256, kFlatBlocks = 4096;

// Whether these addresses are multiples of 16.
template <class... T>
bool flat_packs_fit(const T*... start) {
  return ((reinterpret_cast<uintptr_t>(start) % 16 == 0) && ...);
}

inline unsigned flat_blocks(int64_t count, bool packed) {
  const int64_t blocks = divide_up(count, int64_t{kFlatThreads} * (packed ? kFull<real> : 1));
  return static_cast<unsigned>(blocks < kFlatBlocks ? blocks : kFlatBlocks);
}

// Calls body<N>(i) for elements i .. i + N - 1, N = kFull<real> or 1, in a grid of flat_blocks() times kFlatThreads.
template <class Body>
__device__ void each_flat(int64_t count, bool packed, const Body& body) {
  constexpr int N = kFull<real>;
  const int64_t thread = int64_t{blockIdx.x} * kFlatThreads + threadIdx.x, threads = int64_t{gridDim.x} * kFlatThreads;
  const int64_t packs = packed ? count / N : 0;
  for (int64_t i = thread; i < packs; i += threads) body.template operator()<N>(i * N);
  for (int64_t i = packs * N + thread; i < count; i += threads) body.template operator()<1>(i);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
