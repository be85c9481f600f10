// Rows of logits, a block of kRowThreads threads per row.
#pragma once
#include <limits>

#include "kernels/cuda/reduce.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

// Blocks for a multiprocessor at least: leaves 128 registers a thread, and double's exp and log take half of them.
constexpr int kRowThreads = 128, kRowBlocks = 4;

// log(sum exp(row)) over k logits, the maximum taken out first; every thread gets it. A NaN or a row of infinities
// gives NaN.
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
