// A ring of pinned host memory between the caller's memory and the device: what is copied in may be changed at once,
// and the device fetches it while the host goes on. Nobody waits unless the ring is full.
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
  PinnedBlock memory_;  // when first used
  size_t head_ = 0;     // where the next piece goes
  std::deque<Piece> on_their_way_;
};

}  // namespace mpanet::cuda
