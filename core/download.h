// Copies from the device to the host that the host reads later.
#pragma once
#include <array>
#include <memory>

#include "core/upload.h"

namespace mpanet {

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
  struct Copy {
    HostBuffer host;
    std::shared_ptr<void> event;  // cuda
  };
  Context* context_;
  std::array<Copy, kKept> copies_;
  int64_t started_ = 0;
};

}  // namespace mpanet
