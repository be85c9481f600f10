// The state of a stream of the cuda backend. For the sources of the runtime and of NVIDIA's libraries; kernels include
// launch.h only.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "core/base/error.h"
#include "kernels/cuda/allocator.h"
#include "kernels/cuda/handles.h"
#include "kernels/cuda/staging.h"
#include "kernels/types.h"

namespace mpanet::cuda {

struct StreamState {
  int device = 0;
  std::string device_name;  // cuda:0 (NVIDIA H200)
  int capability_major = 0, capability_minor = 0;
  size_t shared_bytes = 0;  // the largest shared memory of a block
  CudaStream handle;        // for kernels
  CudaStream copies;        // for uploads for a later step, concurrent with the kernels
  Allocator memory;
  Staging staging;
  DeviceBlock exchange;               // results, then tickets: exchange.h
  const char* last_kernel = nullptr;  // launched last, for messages about faults
  const char* kernel_before = nullptr;
  bool capturing = false;
  bool tf32 = false;
  // Objects with the stream's lifetime: handles and plans of NVIDIA's libraries. The key is the address of a tag in the
  // source file that uses the object.
  std::map<const void*, std::shared_ptr<void>> shared;

  template <class T>
  T& get(const void* tag) {
    std::shared_ptr<void>& slot = shared[tag];
    if (!slot) slot = std::make_shared<T>();
    return *static_cast<T*>(slot.get());
  }
};

inline StreamState& state_of(Stream stream) { return *reinterpret_cast<StreamState*>(stream); }

// Runs work(state) with the stream's device as the current one. An error of an earlier kernel becomes a CheckError that
// names the kernel launched last.
template <class Work>
auto on_device(Stream stream, const Work& work) {
  StreamState& state = state_of(stream);
  try {
    CUDA_CALL(cudaSetDevice(state.device));
    return work(state);
  } catch (const KernelFault& fault) {
    throw CheckError(fmt::format(
        "{} on {}: a kernel before this failed, the last one launched or an earlier one; the "
        "last was {} (CUDA_LAUNCH_BLOCKING=1 in the environment tells which it is)",
        fault.what(), state.device_name, state.last_kernel == nullptr ? "none of this stream's" : state.last_kernel));
  }
}

}  // namespace mpanet::cuda
