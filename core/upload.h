// Copies from the host to the device that run beside the device's kernels.
#pragma once
#include <memory>

#include "core/context.h"
#include "kernels/cuda/runtime.h"

namespace mpanet {

// Host memory that a GPU reads by itself (pinned), zero at first; plain memory for the other backends. Must not outlive
// its context.
class HostBuffer {
 public:
  HostBuffer(Context& context, size_t bytes);
  template <class T>
  T* as() const {
    return static_cast<T*>(memory_.get());
  }
  size_t bytes() const { return bytes_; }
  // Copies the first `bytes` to the device in the stream's order, captured steps included: nobody waits. On a GPU the
  // buffer must stay as it is until the stream has come this far.
  void send(Context& context, void* to, size_t bytes) const;

 private:
  std::shared_ptr<void> memory_;
  size_t bytes_;
};

// Copies a batch to the device while the kernels of the batch before run. It has a buffer on the host and one on the
// device. For each batch, in this order:
//   fill host(); start(); before the kernels that read it, device(); after the last of them, done()
// Must not outlive its context.
class Upload {
 public:
  Upload(Context& context, size_t bytes);
  void* host() const;    // returns when the last copy out of it is done
  void start() const;    // waits on the device for done() of the last round
  void* device() const;  // the stream's work from here on sees what was sent
  void done() const;     // the stream's work up to here was the last to read it

 private:
  Context* context_;
  HostBuffer host_;
  Buffer device_;
  std::shared_ptr<cuda::UploadState> state_;  // null unless the device is cuda
};

}  // namespace mpanet
