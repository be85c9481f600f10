// Owning handles of CUDA's objects, and checks of every call.
#pragma once
#include <cuda_runtime_api.h>

#include <memory>

#include "core/base/error.h"

namespace mpanet::cuda {

// A kernel failed while it ran. CUDA reports this in a later call, perhaps long after the kernel's launch.
struct KernelFault : CheckError {
  using CheckError::CheckError;
};
bool is_kernel_fault(cudaError_t error);

// Throws CheckError, which names the call, unless it succeeded; KernelFault if an earlier kernel failed.
void check(cudaError_t error, const char* call);

// Ignores errors, because destructors must not throw. Such an error (of a failed device) was reported by another call.
template <auto destroy>
struct Destroy {
  template <class T>
  void operator()(T* handle) const {
    static_cast<void>(destroy(handle));
  }
};
using CudaStream = std::unique_ptr<CUstream_st, Destroy<cudaStreamDestroy>>;
using Event = std::unique_ptr<CUevent_st, Destroy<cudaEventDestroy>>;
using Graph = std::unique_ptr<CUgraph_st, Destroy<cudaGraphDestroy>>;
using RunnableGraph = std::unique_ptr<CUgraphExec_st, Destroy<cudaGraphExecDestroy>>;
using DeviceBlock = std::unique_ptr<void, Destroy<cudaFree>>;
using PinnedBlock = std::unique_ptr<void, Destroy<cudaFreeHost>>;

// Whether a host thread that waits for the device sleeps. With few processors it must, because a spinning thread takes
// a processor from the loader's threads.
constexpr bool waits_asleep(unsigned processors) { return processors <= 8; }
bool waits_asleep();  // for the number of processors that this process may use

CudaStream make_stream();  // on the current device, not synchronised with the default stream
Event make_event(unsigned flags = cudaEventDisableTiming);  // without a time; cudaEventDefault records one
PinnedBlock make_pinned(size_t bytes);                      // pinned host memory, which the device can access

}  // namespace mpanet::cuda

// CUDA_CALL(cudaEventRecord(event, stream))
#define CUDA_CALL(call) ::mpanet::cuda::check((call), #call)
