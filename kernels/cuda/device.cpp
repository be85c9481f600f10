// The cuda backend's memory, streams and copies: kernels/memory.inc.

#include <algorithm>

#include "core/base/error.h"
#include "kernels/cuda/exchange.h"
#include "kernels/cuda/runtime.h"
#include "kernels/cuda/stream.h"
#include "kernels/memory.h"
#include "kernels/survey.h"

namespace mpanet::cuda {

namespace {

double gib(size_t bytes) { return static_cast<double>(bytes) / (1 << 30); }

[[noreturn]] void out_of_memory(const StreamState& state, size_t bytes) {
  size_t free = 0, total = 0;
  CUDA_CALL(cudaMemGetInfo(&free, &total));
  fail("out of memory on {}: {:.2f} GiB wanted, {:.2f} of {:.2f} GiB free, {:.2f} GiB held by this program",
       state.device_name, gib(bytes), gib(free), gib(total), gib(state.memory.held()));
}

void refuse_in_capture(const StreamState& state, const char* what, size_t bytes) {
  MPANET_CHECK(!state.capturing, "{} of {} bytes inside a captured step", what, bytes);
}

}  // namespace

Exchange exchange(Stream stream) {
  char* const memory = static_cast<char*>(state_of(stream).exchange.get());
  return {reinterpret_cast<unsigned*>(memory + kExchangeBytes), memory};
}

Stream create_stream(int index) {
  const cudaError_t error = cudaSetDevice(index);
  if (error != cudaSuccess) {
    cudaGetLastError();
    const std::string problem = survey().problem;
    fail("cuda:{}: {}", index, problem.empty() ? cudaGetErrorString(error) : problem);
  }
  if (waits_asleep()) CUDA_CALL(cudaSetDeviceFlags(cudaDeviceScheduleBlockingSync));
  auto state = std::make_unique<StreamState>();
  cudaDeviceProp properties;
  CUDA_CALL(cudaGetDeviceProperties(&properties, index));
  state->device = index;
  state->device_name = fmt::format("cuda:{} ({})", index, properties.name);
  state->capability_major = properties.major;
  state->capability_minor = properties.minor;
  state->shared_bytes = properties.sharedMemPerBlockOptin;
  state->handle = make_stream();
  state->copies = make_stream();
  constexpr size_t kBytes = kExchangeBytes + kTickets * sizeof(unsigned);
  void* exchange = nullptr;
  CUDA_CALL(cudaMalloc(&exchange, kBytes));
  state->exchange.reset(exchange);
  CUDA_CALL(cudaMemsetAsync(exchange, 0, kBytes, state->handle.get()));
  return reinterpret_cast<Stream>(state.release());
}

void destroy_stream(Stream stream) {
  const std::unique_ptr<StreamState> state(&state_of(stream));
  // Errors here were reported by an earlier call.
  cudaSetDevice(state->device);
  cudaStreamSynchronize(state->copies.get());
  cudaStreamSynchronize(state->handle.get());
  cudaGetLastError();
}

void set_tf32(Stream stream, bool on) { state_of(stream).tf32 = on; }
bool uses_tf32(Stream stream) { return stream != nullptr && state_of(stream).tf32; }
bool can_use_tf32(Stream stream) { return state_of(stream).capability_major >= 8; }

void* allocate(Stream stream, size_t bytes) {
  return on_device(stream, [=](StreamState& state) {
    refuse_in_capture(state, "an allocation", bytes);
    void* const memory = state.memory.allocate(bytes, state.handle.get());
    if (memory == nullptr) out_of_memory(state, bytes);
    CUDA_CALL(cudaMemsetAsync(memory, 0, bytes, state.handle.get()));
    return memory;
  });
}

void release(Stream stream, void* memory, size_t) { state_of(stream).memory.release(memory); }

void* allocate_apart(Stream stream, size_t bytes) {
  return on_device(stream, [=](StreamState& state) {
    refuse_in_capture(state, "an allocation", bytes);
    void* memory = nullptr;
    const cudaError_t error = cudaMalloc(&memory, bytes);
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      out_of_memory(state, bytes);
    }
    CUDA_CALL(error);
    return memory;
  });
}

void release_apart(Stream stream, void* memory) {
  // Destructors call this, so it ignores errors: the next call that may throw reports them.
  StreamState& state = state_of(stream);
  cudaSetDevice(state.device);
  cudaStreamSynchronize(state.handle.get());
  cudaFree(memory);
}

MemoryUse memory_use(Stream stream) {
  return on_device(stream, [](StreamState& state) {
    MemoryUse use{state.memory.in_use(), state.memory.peak(), state.memory.held(), 0, 0};
    CUDA_CALL(cudaMemGetInfo(&use.free, &use.total));
    return use;
  });
}

void fill_zero(Stream stream, void* to, size_t bytes) {
  if (bytes == 0) return;
  on_device(stream, [=](StreamState& state) { CUDA_CALL(cudaMemsetAsync(to, 0, bytes, state.handle.get())); });
}

void copy_to_device(Stream stream, void* to, const void* from, size_t bytes) {
  on_device(stream, [=](StreamState& state) {
    refuse_in_capture(state, "a copy from memory that is not pinned", bytes);
    state.staging.copy_to_device(state.handle.get(), to, from, bytes);
  });
}

void copy_to_host(Stream stream, void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  on_device(stream, [=](StreamState& state) {
    refuse_in_capture(state, "a copy to the host", bytes);
    CUDA_CALL(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, state.handle.get()));
    CUDA_CALL(cudaStreamSynchronize(state.handle.get()));
  });
}

void synchronize(Stream stream) {
  on_device(stream, [](StreamState& state) {
    refuse_in_capture(state, "a synchronisation", 0);
    CUDA_CALL(cudaStreamSynchronize(state.handle.get()));
  });
}

}  // namespace mpanet::cuda
