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
  const std::shared_ptr<void>& memory() const { return memory_; }
  // Copies the first `bytes` to the device in the stream's order, also in a captured step, and does not wait. On a GPU
  // the buffer must not change until the stream has done the copy.
  void send(Context& context, void* to, size_t bytes) const;

 private:
  std::shared_ptr<void> memory_;
  size_t bytes_;
};

// Copies a batch to the device while the kernels of the previous batch run. It has a buffer on the device, and one on
// the host for who has none of his own. For each batch, in this order:
//   fill host(), start(); or start(from, bytes); before the kernels that read it, device(); after the last, done()
// Must not outlive its context.
class Upload {
 public:
  Upload(Context& context, size_t bytes);
  void* host();  // waits for the last copy; the buffer is made by the first call
  void start();  // starts the copy from host(); on the device it waits for done() of the previous batch
  // The same from the caller's memory, after waiting for the last copy. A HostBuffer's memory is copied while the
  // caller goes on, and must not change until the next call.
  void start(std::shared_ptr<const void> from, size_t bytes);
  void* device() const;  // later work on the stream waits for the copy
  void done() const;     // earlier work on the stream is the last to read device()
  size_t bytes() const { return device_.bytes(); }

 private:
  void copy(const void* from, size_t bytes) const;
  Context* context_;
  std::unique_ptr<HostBuffer> host_;
  std::shared_ptr<const void> from_;  // memory that the last copy may still read
  Buffer device_;
  std::shared_ptr<cuda::UploadState> state_;  // null unless the device is cuda
};

}  // namespace mpanet
