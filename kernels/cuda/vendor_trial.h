// Timing of a library against our kernel, for Provider::Auto.
#pragma once
#include <functional>
#include <string>

#include "kernels/cuda/vendor.h"
#include "kernels/memory.h"

namespace mpanet::cuda {

// Returns whether the library is faster, measured on the stream, and stores the choice in the stream's Vendors.
// run(true) runs the library, run(false) our kernel.
bool library_is_faster(Stream stream, const std::string& shape, const std::string& library,
                       const std::function<void(bool with_library)>& run);

// Stores the choice of our kernel for a shape that the library does not support.
void note_native(Stream stream, const std::string& shape);

// Device memory for a trial.
class TrialMemory {
 public:
  TrialMemory(Stream stream, size_t bytes) : stream_(stream), bytes_(bytes), memory_(allocate(stream, bytes)) {}
  ~TrialMemory() { release(stream_, memory_, bytes_); }
  TrialMemory(const TrialMemory&) = delete;
  TrialMemory& operator=(const TrialMemory&) = delete;
  template <class T>
  T* as() const {
    return static_cast<T*>(memory_);
  }

 private:
  Stream stream_;
  size_t bytes_;
  void* memory_;
};

}  // namespace mpanet::cuda
