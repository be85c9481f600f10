#include "kernels/cuda/launch.h"
#include "tests/kernels/cuda_runtime_kernels.h"

namespace {

__global__ void fill_kernel(int* to, int count, int value) {
  for (int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); i < count;
       i += static_cast<int>(gridDim.x * blockDim.x))
    to[i] = value;
}

__global__ void copy_kernel(int* to, const int* from, int count) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) to[i] = from[i];
}

__global__ void overrun_kernel(int* to, int64_t offset) { to[offset] = 1; }

}  // namespace

void launch_fill(mpanet::Stream stream, int* to, int count, int value, int blocks, int threads, size_t shared_bytes) {
  mpanet::cuda::launch("fill_kernel", fill_kernel, static_cast<unsigned>(blocks), static_cast<unsigned>(threads),
                       shared_bytes, stream, to, count, value);
}

void launch_copy(mpanet::Stream stream, int* to, const int* from, int count) {
  const unsigned blocks = static_cast<unsigned>(count + 255) / 256;
  mpanet::cuda::launch("copy_kernel", copy_kernel, blocks, 256, 0, stream, to, from, count);
}

void launch_overrun(mpanet::Stream stream, int* to) {
  mpanet::cuda::launch("overrun_kernel", overrun_kernel, 1, 1, 0, stream, to, int64_t{1} << 40);
}
