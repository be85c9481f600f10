// Guard zones for tests: blocks of device memory between zones of NaN. A read out of range makes the result NaN, and a
// write out of range is found. A new block is NaN too, so that a read of unwritten memory shows.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "kernels/types.h"

namespace mpanet {

class GuardedMemory {
 public:
  GuardedMemory(Backend backend, Stream stream) : backend_(backend), stream_(stream) {}
  ~GuardedMemory();
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  void* take(size_t bytes);  // aligned to 256 bytes
  // Destructors call this, so it throws nothing: check() reports damage that is found here.
  void give_back(void* memory) noexcept;
  // CheckError when a zone was overwritten, also of blocks given back since the last check(). Reports each damage once.
  void check();
  // The same as text, without an exception; empty when no zone was overwritten.
  std::string damage() noexcept;

 private:
  struct Block {
    size_t bytes;
    uint16_t pattern;
  };
  std::string damage_of(char* memory, const Block& block);
  Backend backend_;
  Stream stream_;
  std::unordered_map<char*, Block> blocks_;  // by the first byte of the caller's part
  uint64_t taken_ = 0;
  std::string unreported_;
};

}  // namespace mpanet
