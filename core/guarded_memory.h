// Guard zones for tests: blocks of device memory between zones that hold NaN, so that a read out of range shows in the
// result and a write out of range is found. A block's contents are the same at first: what nobody wrote shows too.
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
  // Damage found here is kept for check(): destructors call this.
  void give_back(void* memory) noexcept;
  // CheckError when a zone was written to, now or before a block was given back. Says it once.
  void check();
  // The same without an exception; empty: whole.
  std::string damage() noexcept;

 private:
  struct Block {
    size_t bytes;
    uint16_t pattern;
  };
  std::string damage_of(char* memory, const Block& block);
  Backend backend_;
  Stream stream_;
  std::unordered_map<char*, Block> blocks_;  // by where the caller's bytes begin
  uint64_t taken_ = 0;
  std::string unreported_;
};

}  // namespace mpanet
