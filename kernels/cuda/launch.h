// The part of simt.h for nvcc: launches with error checks. Included by .cu files under nvcc, and by launch.cpp.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <string>
#include <type_traits>

#include "kernels/types.h"

namespace mpanet::cuda {

// Makes the stream's device the current one, and stores the kernel's name for errors that are reported later.
cudaStream_t about_to_launch(Stream stream, const char* kernel);

// Throws CheckError about a failed launch, with the kernel, the launch shape and the sizes among its arguments.
[[noreturn]] void launch_failed(cudaError_t error, Stream stream, const char* kernel, dim3 grid, dim3 block,
                                size_t shared_bytes, const std::string& sizes);

#if defined(__CUDACC__)

// A block's dynamic shared memory.
template <class T>
__device__ T& shared_memory() {
  extern __shared__ __align__(128) unsigned char dynamic_shared_bytes[];
  return *reinterpret_cast<T*>(dynamic_shared_bytes);
}

template <class T>
void add_size(std::string& text, const T& value) {
  if constexpr (std::is_integral_v<T> && sizeof(T) > 1) {
    text += (text.empty() ? "" : ", ") + std::to_string(value);
  }
  if constexpr (std::is_same_v<T, ConvShape>) {
    const int sizes[] = {value.n, value.h, value.w, value.c, value.k, value.kh, value.kw, value.stride, value.pad};
    for (const int size : sizes) add_size(text, size);
  }
}

template <class... Parameters, class... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, Stream stream,
            Arguments... arguments) {
  constexpr size_t kWithoutAsking = 48 << 10;
  shared_bytes = (shared_bytes + 15) / 16 * 16;  // the compiler may read the last bytes with a load of 16
  const cudaStream_t on = about_to_launch(stream, name);
  cudaError_t error = cudaSuccess;
  if (shared_bytes > kWithoutAsking)
    error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes));
  if (error == cudaSuccess) {
    kernel<<<grid, block, shared_bytes, on>>>(static_cast<Parameters>(arguments)...);
    error = cudaGetLastError();
  }
  if (error == cudaSuccess) return;
  std::string sizes;
  (add_size(sizes, arguments), ...);
  launch_failed(error, stream, name, grid, block, shared_bytes, sizes);
}

#endif

}  // namespace mpanet::cuda
