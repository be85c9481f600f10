// A ring buffer of pinned host memory for copies to the device. The caller may change its memory after the call, and
// the device copies from the ring asynchronously. The host waits only when the ring is full.
#pragma once
#include <cstddef>
#include <deque>

#include "kernels/cuda/handles.h"

namespace mpanet::cuda {

class Staging {
 public:
  static constexpr size_t kBytes = size_t{32} << 20;
  void copy_to_device(cudaStream_t stream, void* to, const void* from, size_t bytes);

 private:
  struct Piece {
    size_t begin, end;
    Event arrived;
  };
  char* reserve(size_t bytes);
  Event free_oldest();
  PinnedBlock memory_;  // allocated at the first use
  size_t head_ = 0;     // offset of the next piece
  std::deque<Piece> on_their_way_;
};

}  // namespace mpanet::cuda
