// A library and our kernel at the same work, timed: for Provider::Auto.
#pragma once
#include <functional>
#include <string>

#include "kernels/cuda/vendor.h"
#include "kernels/memory.h"

namespace mpanet::cuda {

// Whether the library is faster, by the stream's own time; the answer is kept among the stream's choices. run(true)
// runs the library, run(false) our kernels.
bool library_is_faster(Stream stream, const std::string& shape, const std::string& library,
                       const std::function<void(bool with_library)>& run);

// Notes that our kernels do a shape, because the library cannot.
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
