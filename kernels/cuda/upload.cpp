// Copies to the device on a CUDA stream of their own; events order them with the kernels' stream.
#include "kernels/cuda/runtime.h"
#include "kernels/cuda/stream.h"

namespace mpanet::cuda {

struct UploadState {
  UploadState() = default;
  // Waits for the last copy, which may still run, before the memory on both sides is reused.
  ~UploadState() { static_cast<void>(cudaEventSynchronize(arrived.get())); }
  UploadState(const UploadState&) = delete;
  UploadState& operator=(const UploadState&) = delete;
  Event arrived = make_event();  // on the copies' stream
  Event read = make_event();     // on the kernels' stream
};

std::shared_ptr<UploadState> create_upload(Stream stream) {
  return on_device(stream, [](StreamState& state) {
    auto upload = std::make_shared<UploadState>();
    // The first copy waits for the buffer's zero fill.
    CUDA_CALL(cudaEventRecord(upload->read.get(), state.handle.get()));
    return upload;
  });
}

void start_upload(Stream stream, UploadState& upload, void* to, const void* from, size_t bytes) {
  on_device(stream, [&](StreamState& state) {
    CUDA_CALL(cudaStreamWaitEvent(state.copies.get(), upload.read.get(), 0));
    CUDA_CALL(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, state.copies.get()));
    CUDA_CALL(cudaEventRecord(upload.arrived.get(), state.copies.get()));
  });
}

void wait_for_upload(Stream stream, UploadState& upload) {
  on_device(stream,
            [&](StreamState& state) { CUDA_CALL(cudaStreamWaitEvent(state.handle.get(), upload.arrived.get(), 0)); });
}

void upload_was_read(Stream stream, UploadState& upload) {
  on_device(stream, [&](StreamState& state) { CUDA_CALL(cudaEventRecord(upload.read.get(), state.handle.get())); });
}

void finish_upload(Stream stream, UploadState& upload) {
  on_device(stream, [&](StreamState&) { CUDA_CALL(cudaEventSynchronize(upload.arrived.get())); });
}

}  // namespace mpanet::cuda
