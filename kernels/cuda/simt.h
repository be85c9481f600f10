// Every .cu file includes this header: CUDA under nvcc, the emulation of kernels/emu under a host compiler. A .cu file
// is in `namespace mpanet::PRECISION::KERNEL_NS` and uses only the parts of CUDA that both provide:
//   threadIdx, blockIdx, blockDim, gridDim, dim3; __syncthreads[_and|_or|_count], __syncwarp, shuffles, votes, match;
//   atomics on integers (on floats only if the order cannot change the result); __threadfence; __popc, __ffs, __clz,
//   __umulhi; LAUNCH(kernel, grid, block, shared bytes, stream, arguments...) instead of <<<>>>, with error checks;
//   shared_memory<T>(): the dynamic shared memory of a block, one struct per kernel;
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
// KERNEL_CHECK(n > 0, "a batch"): a launcher's precondition, CheckError otherwise. It is active in every build.
#define KERNEL_CHECK(condition, expected)                                            \
  do {                                                                               \
    if (!(condition)) ::mpanet::kernel_check_failed(__func__, expected, #condition); \
  } while (0)
