// Copies from the host to the device that overlap the device's kernels.
#pragma once
#include <memory>

#include "core/context.h"
#include "kernels/cuda/runtime.h"

namespace mpanet {

// Host memory from which a GPU can copy asynchronously (pinned), zero at first; plain memory for the other backends.
// Must not outlive its context.
class HostBuffer {
 public:
  HostBuffer(Context& context, size_t bytes);
  template <class T>
  T* as() const {
    return static_cast<T*>(memory_.get());
  }
  size_t bytes() const { return bytes_; }
  // Copies the first `bytes` to the device in the stream's order, also in a captured step, and does not wait. On a GPU
  // the buffer must not change until the stream has done the copy.
  void send(Context& context, void* to, size_t bytes) const;

 private:
  std::shared_ptr<void> memory_;
  size_t bytes_;
};

// Copies a batch to the device while the kernels of the previous batch run. It has a buffer on the host and one on the
// device. For each batch, in this order:
//   fill host(); start(); before the kernels that read it, device(); after the last of them, done()
// Must not outlive its context.
class Upload {
 public:
  Upload(Context& context, size_t bytes);
  void* host() const;    // waits for the last copy from it
  void start() const;    // starts the copy; on the device it waits for done() of the previous batch
  void* device() const;  // later work on the stream waits for the copy
  void done() const;     // earlier work on the stream is the last to read device()

 private:
  Context* context_;
  HostBuffer host_;
  Buffer device_;
  std::shared_ptr<cuda::UploadState> state_;  // null unless the device is cuda
};

}  // namespace mpanet
