// Sums over a warp and over a block, in a fixed order: the same inputs give the same bits in every run.
#pragma once
#include "kernels/cuda/numeric.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

struct Add {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Larger {  // NaN if one is NaN
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
};

// Returns the result in every lane. All 32 lanes must call.
template <class T, class Combine = Add>
__device__ T warp_reduce(T value, Combine combine = {}) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2)
    value = combine(value, __shfl_xor_sync(kAllLanes, value, offset));
  return value;
}

// Returns the result in every thread. All threads of the block must call; blockDim is one-dimensional and a multiple of
// 32. `partial` is in shared memory. Has a barrier after the last read, so `partial` may be reused immediately.
template <class T, class Combine = Add>
__device__ T block_reduce(T value, T (&partial)[kWarp], T neutral = T(0), Combine combine = {}) {
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp;
  value = warp_reduce(value, combine);
  if (lane == 0) partial[warp] = value;
  __syncthreads();
  value = warp_reduce(lane < warps ? partial[lane] : neutral, combine);
  __syncthreads();
  return value;
}

// Returns the sum over the threads of the block with the same threadIdx.x % kColumns. All kThreads threads of the
// one-dimensional block must call; kColumns is a power of two up to 32. Barriers as in block_reduce.
template <int kColumns, int kThreads, class T>
__device__ T column_sum(T value, T (&partial)[kThreads / kWarp][kColumns]) {
  for (int offset = kWarp / 2; offset >= kColumns; offset /= 2) value += __shfl_xor_sync(kAllLanes, value, offset);
  const int lane = threadIdx.x % kWarp;
  if (lane < kColumns) partial[threadIdx.x / kWarp][lane] = value;
  __syncthreads();
  T sum = 0;
  for (int warp = 0; warp < kThreads / kWarp; warp++) sum += partial[warp][lane % kColumns];
  __syncthreads();
  return sum;
}

}  // namespace mpanet::PRECISION::KERNEL_NS
