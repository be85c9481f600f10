#include "kernels/cuda/handles.h"

#include "core/base/threads.h"

namespace mpanet::cuda {

bool is_kernel_fault(cudaError_t error) {
  switch (error) {
    case cudaErrorECCUncorrectable:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
      return true;
    default:
      return false;
  }
}

void check(cudaError_t error, const char* call) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // clears the error, which is reported here
  const std::string text = fmt::format("{}: {} ({})", call, cudaGetErrorString(error), cudaGetErrorName(error));
  if (is_kernel_fault(error)) throw KernelFault(text);
  throw CheckError(text);
}

bool waits_asleep() {
  static const bool asleep = waits_asleep(static_cast<unsigned>(usable_processors()));
  return asleep;
}

CudaStream make_stream() {
  cudaStream_t stream = nullptr;
  CUDA_CALL(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return CudaStream(stream);
}

Event make_event(unsigned flags) {
  cudaEvent_t event = nullptr;
  if (waits_asleep()) flags |= cudaEventBlockingSync;
  CUDA_CALL(cudaEventCreateWithFlags(&event, flags));
  return Event(event);
}

PinnedBlock make_pinned(size_t bytes) {
  void* memory = nullptr;
  const cudaError_t error = cudaHostAlloc(&memory, bytes, cudaHostAllocDefault);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    fail("out of memory: {} bytes of pinned host memory wanted", bytes);
  }
  CUDA_CALL(error);
  return PinnedBlock(memory);
}

}  // namespace mpanet::cuda
