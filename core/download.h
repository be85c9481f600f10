// Copies from the device to the host that the host reads later.
#pragma once
#include <array>
#include <memory>

#include "core/upload.h"

namespace mpanet {

// A copy of a block of device memory in the host's: pinned on a GPU, plain memory for the other backends. Must not
// outlive its context.
class HostCopy {
 public:
  HostCopy(Context& context, size_t bytes) : context_(&context), host_(context, bytes) {}
  size_t bytes() const { return host_.bytes(); }
  // Copies bytes() from the device in the stream's order, and does not wait.
  void start(const void* from);
  // Waits for the copy, not for later work, and returns it. Other threads than the context's may call it, if none calls
  // start() meanwhile.
  const void* wait() const;

 private:
  Context* context_;
  HostBuffer host_;
  std::shared_ptr<void> event_;  // cuda
};

// Copies a few bytes to the host after each step, and waits only when they are read. It keeps the last two copies, so
// that the host can read a step's numbers while the device computes the next step. Must not outlive its context.
class Download {
 public:
  static constexpr int kKept = 2;
  Download(Context& context, size_t bytes);
  int kept() const { return started_ < kKept ? static_cast<int>(started_) : kKept; }
  // Copies from the device in the stream's order, and does not wait. Overwrites the oldest copy that is kept.
  void start(const void* from);
  // Waits for a copy, not for later work, and returns it. age 0: the last one; up to kept() - 1.
  const void* wait(int age) const;

 private:
  std::array<HostCopy, kKept> copies_;
  int64_t started_ = 0;
};

}  // namespace mpanet
