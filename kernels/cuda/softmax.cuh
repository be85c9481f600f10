// Rows of logits, a block of kRowThreads threads per row.
#pragma once
#include <limits>

#include "kernels/cuda/reduce.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

// kRowBlocks: resident blocks per multiprocessor, which allows 128 registers per thread; exp and log in double use
// half.
constexpr int kRowThreads = 128, kRowBlocks = 4;

// Returns log(sum exp(row)) of k logits in every thread, computed as max + log(sum exp(row - max)). NaN if the row has
// a NaN or an infinite maximum.
__device__ inline real log_sum_exp(const real* row, int k, real (&partial)[kWarp]) {
  constexpr real kLowest = -std::numeric_limits<real>::infinity();
  real top = kLowest;
  for (int j = threadIdx.x; j < k; j += kRowThreads) top = Larger{}(top, row[j]);
  top = block_reduce(top, partial, kLowest, Larger{});
  real sum = 0;
  for (int j = threadIdx.x; j < k; j += kRowThreads) sum += exp(row[j] - top);
  return top + log(block_reduce(sum, partial));
}

}  // namespace mpanet::PRECISION::KERNEL_NS
