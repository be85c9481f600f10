// The machine's GPUs, and reasons why this program cannot use them. Nothing here throws; choose_device() does.
#include "kernels/survey.h"

#include <cuda_runtime_api.h>

namespace mpanet::cuda {

GpuSurvey survey() {
  GpuSurvey found;
  found.architectures = CUDA_ARCHITECTURES;
  cudaRuntimeGetVersion(&found.toolkit);
  cudaDriverGetVersion(&found.driver);
  int count = 0;
  cudaError_t error = cudaGetDeviceCount(&count);
  for (int i = 0; error == cudaSuccess && i < count; i++) {
    cudaDeviceProp properties;
    error = cudaGetDeviceProperties(&properties, i);
    if (error == cudaSuccess)
      found.gpus.push_back({properties.name, properties.major, properties.minor, properties.totalGlobalMem});
  }
  cudaGetLastError();
  if (error == cudaSuccess && count > 0) return found;
  found.gpus.clear();
  found.problem = why_no_gpu(error == cudaSuccess ? "" : cudaGetErrorString(error), found);
  return found;
}

}  // namespace mpanet::cuda
