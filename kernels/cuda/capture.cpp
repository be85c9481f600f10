// Records a step as a CUDA graph and replays it: one launch by the host instead of hundreds.
#include <cstring>

#include "core/base/error.h"
#include "kernels/cuda/runtime.h"
#include "kernels/cuda/stream.h"

namespace mpanet::cuda {

void begin_capture(Stream stream) {
  on_device(stream, [](StreamState& state) {
    MPANET_CHECK(!state.capturing, "a capture inside a capture");
    // ThreadLocal: other threads, such as the loader's, may allocate pinned memory during the capture.
    CUDA_CALL(cudaStreamBeginCapture(state.handle.get(), cudaStreamCaptureModeThreadLocal));
    state.capturing = true;
  });
}

std::shared_ptr<void> end_capture(Stream stream) {
  return on_device(stream, [](StreamState& state) -> std::shared_ptr<void> {
    state.capturing = false;
    cudaGraph_t graph = nullptr;
    CUDA_CALL(cudaStreamEndCapture(state.handle.get(), &graph));
    const Graph recorded(graph);
    cudaGraphExec_t runnable = nullptr;
    CUDA_CALL(cudaGraphInstantiateWithFlags(&runnable, recorded.get(), 0));
    return RunnableGraph(runnable);
  });
}

void abandon_capture(Stream stream) {
  StreamState& state = state_of(stream);
  state.capturing = false;
  cudaGraph_t graph = nullptr;
  cudaStreamEndCapture(state.handle.get(), &graph);
  if (graph != nullptr) cudaGraphDestroy(graph);
  cudaGetLastError();  // clears the error of the broken capture
}

void replay(Stream stream, void* captured) {
  on_device(stream, [=](StreamState& state) {
    state.last_kernel = "one of a captured step";
    CUDA_CALL(cudaGraphLaunch(static_cast<cudaGraphExec_t>(captured), state.handle.get()));
  });
}

std::shared_ptr<void> allocate_pinned(Stream stream, size_t bytes) {
  return on_device(stream, [=](StreamState& state) -> std::shared_ptr<void> {
    PinnedBlock block = make_pinned(bytes);
    std::memset(block.get(), 0, bytes);
    // The stream may still read the memory when its owner is destroyed.
    return {block.release(), [&state](void* memory) {
              static_cast<void>(cudaStreamSynchronize(state.handle.get()));
              static_cast<void>(cudaFreeHost(memory));
            }};
  });
}

std::shared_ptr<void> mark(Stream stream) {
  return on_device(stream, [](StreamState& state) -> std::shared_ptr<void> {
    Event event = make_event(cudaEventDefault);
    CUDA_CALL(cudaEventRecord(event.get(), state.handle.get()));
    return event;
  });
}

double seconds_between(Stream stream, void* begin, void* end) {
  return on_device(stream, [=](StreamState&) {
    const auto first = static_cast<cudaEvent_t>(begin), last = static_cast<cudaEvent_t>(end);
    CUDA_CALL(cudaEventSynchronize(last));
    float milliseconds = 0;
    CUDA_CALL(cudaEventElapsedTime(&milliseconds, first, last));
    return milliseconds * 1e-3;
  });
}

void copy_from_pinned(Stream stream, void* to, const void* from, size_t bytes) {
  on_device(stream, [=](StreamState& state) {
    CUDA_CALL(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, state.handle.get()));
  });
}

std::shared_ptr<void> copy_to_pinned(Stream stream, void* to, const void* from, size_t bytes) {
  return on_device(stream, [=](StreamState& state) -> std::shared_ptr<void> {
    CUDA_CALL(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, state.handle.get()));
    Event arrived = make_event();
    CUDA_CALL(cudaEventRecord(arrived.get(), state.handle.get()));
    return arrived;
  });
}

void wait_for(Stream stream, void* event) {
  on_device(stream, [=](StreamState&) { CUDA_CALL(cudaEventSynchronize(static_cast<cudaEvent_t>(event))); });
}

}  // namespace mpanet::cuda
