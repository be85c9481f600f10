#include "kernels/cuda/launch.h"

#include <cstdlib>

#include "core/base/error.h"
#include "kernels/cuda/capability.h"
#include "kernels/cuda/stream.h"

namespace mpanet::cuda {
namespace {

// With CUDA_LAUNCH_BLOCKING=1 every launch waits for its kernel, so an error is of the kernel launched last.
bool launches_wait() {
  const char* value = std::getenv("CUDA_LAUNCH_BLOCKING");
  return value != nullptr && std::string(value) != "0";
}

}  // namespace

cudaStream_t about_to_launch(Stream stream, const char* kernel) {
  StreamState& state = state_of(stream);
  CUDA_CALL(cudaSetDevice(state.device));
  state.kernel_before = state.last_kernel;
  state.last_kernel = kernel;
  return state.handle.get();
}

void require_tensor_cores(Stream stream, const char* precision) {
  const StreamState& state = state_of(stream);
  if (state.capability_major >= 8) return;
  fail("{}: {} needs compute capability 8.0 or newer, this device has {}.{}; f16 runs on it", state.device_name,
       precision, state.capability_major, state.capability_minor);
}

size_t shared_bytes_of_block(Stream stream) { return state_of(stream).shared_bytes; }

void launch_failed(cudaError_t error, Stream stream, const char* kernel, dim3 grid, dim3 block, size_t shared_bytes,
                   const std::string& sizes) {
  cudaGetLastError();
  const StreamState& state = state_of(stream);
  std::string text = fmt::format(
      "kernel {} with grid ({}, {}, {}), block ({}, {}, {}), {} bytes of shared memory, sizes [{}] on {}: "
      "{} ({})",
      kernel, grid.x, grid.y, grid.z, block.x, block.y, block.z, shared_bytes, sizes, state.device_name,
      cudaGetErrorString(error), cudaGetErrorName(error));
  if (error == cudaErrorNoKernelImageForDevice || error == cudaErrorUnsupportedPtxVersion)
    fail("{}: the program was compiled for other GPUs or a newer driver", text);
  if (is_kernel_fault(error) && !launches_wait())
    text += fmt::format(
        "; the fault is this kernel's or that of an earlier one, the one before is {} "
        "(CUDA_LAUNCH_BLOCKING=1 in the environment tells which it is)",
        state.kernel_before == nullptr ? "none of this stream's" : state.kernel_before);
  throw CheckError(text);
}

}  // namespace mpanet::cuda
