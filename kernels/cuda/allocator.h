// Device memory of one stream. A block that is given back is kept and handed out again to a later request of about its
// size: the stream orders the new owner's work behind the old one's, so nobody waits. Only when the device has no more
// are the kept blocks returned to it.
#pragma once
#include <cstddef>
#include <map>
#include <string>

#include "kernels/cuda/handles.h"

namespace mpanet::cuda {

class Allocator {
 public:
  // Null when the device has not that much, even after all kept blocks went back. Contents undefined.
  void* allocate(size_t bytes, cudaStream_t stream);
  void release(void* memory);  // for later work of the same stream
  void clear() { kept_.clear(); }

  size_t in_use() const { return in_use_; }  // bytes handed out now
  size_t peak() const { return peak_; }      // and at most
  size_t held() const { return held_; }      // bytes taken from the device now

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
