// Elementwise kernels: one thread per pack of elements (16 bytes of the wider type). The following threads compute the
// elements after the last whole pack one by one, or all elements if an address is not aligned.
#pragma once
#include "kernels/cuda/numeric.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

constexpr int kPackThreads = 256;

// Calls body<M>(i) for elements i .. i + M - 1, with M = N or M = 1.
template <int N, class Body>
__device__ void each_pack(int64_t count, bool packed, const Body& body) {
  const int64_t thread = int64_t{blockIdx.x} * kPackThreads + threadIdx.x, packs = packed ? count / N : 0;
  if (thread < packs) return body.template operator()<N>(thread * N);
  const int64_t i = packs * N + (thread - packs);
  if (i < count) body.template operator()<1>(i);
}

template <int N>
inline dim3 pack_blocks(int64_t count, bool packed) {
  const int64_t blocks = divide_up(packed ? count / N + count % N : count, kPackThreads);
  KERNEL_CHECK(blocks < int64_t{1} << 31, "at most 2^31 blocks");
  return dim3(static_cast<unsigned>(blocks));
}

}  // namespace mpanet::PRECISION::KERNEL_NS
