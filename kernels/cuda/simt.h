// What every .cu file includes: CUDA under nvcc, the emulation of kernels/emu under a host compiler. A .cu file says
// `namespace mpanet::PRECISION::KERNEL_NS` and uses nothing of CUDA but what both sides of this header give:
//   threadIdx, blockIdx, blockDim, gridDim, dim3; __syncthreads[_and|_or|_count], __syncwarp, shuffles, votes, match;
//   atomics on integers (and on floats where the order cannot show); __threadfence; __popc, __ffs, __clz, __umulhi
//   LAUNCH(kernel, grid, block, shared bytes, stream, arguments...) instead of <<<>>>: the one place for error checks
//   shared_memory<T>(): all dynamic shared memory of a block, one struct per kernel
//   ptx.cuh for cp.async, ldmatrix and mma
#pragma once
#include "core/base/real.h"
#include "kernels/kernels.h"

#if defined(__CUDACC__)
#  define KERNEL_NS cuda
#  include "kernels/cuda/launch.h"
#else
#  define KERNEL_NS emu
#  include "kernels/emu/simt_host.h"
#endif

namespace mpanet::PRECISION::KERNEL_NS {

using ::mpanet::KERNEL_NS::shared_memory;
constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

}  // namespace mpanet::PRECISION::KERNEL_NS

#define LAUNCH(kernel, ...) ::mpanet::KERNEL_NS::launch(#kernel, kernel, __VA_ARGS__)
// KERNEL_CHECK(n > 0, "a batch"): what a launcher expects of its arguments, always on.
#define KERNEL_CHECK(condition, expected)                                            \
  do {                                                                               \
    if (!(condition)) ::mpanet::kernel_check_failed(__func__, expected, #condition); \
  } while (0)
