// From the host to the device beside the device's work.
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

// One batch's way to the device while the kernels of the one before run: a buffer on either side. With two of these in
// turn nobody waits. In order, again and again:
//   fill host(); start(); then, ahead of the kernels that read it, device(); after the last of them, done().
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
  std::shared_ptr<cuda::UploadState> state_;  // null but for cuda
};

}  // namespace mpanet
