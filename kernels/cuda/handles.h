// CUDA's objects, owned: each is destroyed with its handle, and every call is checked.
#pragma once
#include <cuda_runtime_api.h>

#include <memory>

#include "core/base/error.h"

namespace mpanet::cuda {

// A kernel failed while it ran. CUDA tells the next call that looks, which may be far behind the kernel's launch.
struct KernelFault : CheckError {
  using CheckError::CheckError;
};
bool is_kernel_fault(cudaError_t error);

// Throws CheckError naming the call, KernelFault if a kernel before it is to blame, unless it succeeded.
void check(cudaError_t error, const char* call);

// Destructors cannot throw; what goes wrong there (a device that failed before) was reported where it happened.
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

// Whether a host thread that waits for the device sleeps. Where processors are few it must: while it spins, the threads
// that load pictures lack one.
constexpr bool waits_asleep(unsigned processors) { return processors <= 8; }
bool waits_asleep();  // with the processors that this process may use

CudaStream make_stream();  // on the current device, not ordered with the default stream
Event make_event(unsigned flags = cudaEventDisableTiming);  // for order only; with cudaEventDefault it has a time
PinnedBlock make_pinned(size_t bytes);                      // host memory that the device reads and writes itself

}  // namespace mpanet::cuda

// CUDA_CALL(cudaEventRecord(event, stream))
#define CUDA_CALL(call) ::mpanet::cuda::check((call), #call)
