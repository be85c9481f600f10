// Device memory of one stream. A released block is kept and reused for a later request of a similar size. This needs no
// synchronisation, because the stream runs the new owner's work after the old owner's. The kept blocks are freed when
// the device has no more memory.
#pragma once
#include <cstddef>
#include <map>
#include <string>

#include "kernels/cuda/handles.h"

namespace mpanet::cuda {

class Allocator {
 public:
  // Undefined contents. Null when the device does not have `bytes`, even after all kept blocks were freed.
  void* allocate(size_t bytes, cudaStream_t stream);
  void release(void* memory);  // for later work of the same stream
  void clear() { kept_.clear(); }

  size_t in_use() const { return in_use_; }  // allocated bytes
  size_t peak() const { return peak_; }      // maximum of in_use() so far
  size_t held() const { return held_; }      // bytes allocated from the device, in use or kept

 private:
  struct Block {
    DeviceBlock memory;
    size_t bytes = 0;
  };
  DeviceBlock take(size_t bytes);
  std::map<void*, Block> used_;
  std::multimap<size_t, Block> kept_;  // by size
  size_t in_use_ = 0, peak_ = 0, held_ = 0;
};

}  // namespace mpanet::cuda
