// The race check, for kernels that were compiled with memory-access hooks (hooks.cpp). Every access to shared memory
// and to allocated device memory is recorded in the shadow of each byte. Races are:
//   shared   two warps access a byte, one writes, and there was no barrier of the block in between; the lanes of one
//   warp
//            count as ordered
//   device   two blocks of a launch access a byte and one writes, except by atomics; a __threadfence() and then an
//   atomic
//            in one block order it before a later atomic on the same address in another block
#pragma once
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <string>

#include "kernels/emu/runtime.h"

namespace mpanet::simt {

// Whether accesses are recorded: the program has instrumented kernels, and the check is on.
extern bool recording;
void found_instrumented_code();

// The source of an access: an instruction of a kernel, or a source position for an access by the emulation.
struct Code {
  const void* instruction = nullptr;
  Where where = {};
};
std::string text_of(const Code& code);

// An access by `who`, a warp or a block. Accesses in different epochs are ordered.
struct Access {
  uint32_t epoch = 0, who = 0;
  Code code;
};
struct ShadowByte {
  Access write, read;
};
constexpr uint32_t kSeveral = 0xffffffffu;  // more than one reader

// One ShadowByte per byte, zero at first. Only pages that were written use memory.
class Shadow {
 public:
  explicit Shadow(size_t bytes) : bytes_(bytes * sizeof(ShadowByte)) {
    void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    shadow_ = static_cast<ShadowByte*>(memory);
  }
  ~Shadow() { munmap(shadow_, bytes_); }
  Shadow(const Shadow&) = delete;
  Shadow& operator=(const Shadow&) = delete;
  ShadowByte& operator[](size_t byte) { return shadow_[byte]; }

 private:
  ShadowByte* shadow_;
  size_t bytes_;
};

// Records an access. Returns true and sets *other if an earlier access races with it; those with ordered(who) do not.
template <class Ordered>
bool note(ShadowByte& shadow, bool write, const Access& access, const Ordered& ordered, Access* other) {
  const auto races = [&](const Access& earlier) {
    return earlier.epoch == access.epoch && earlier.who != access.who && !ordered(earlier.who);
  };
  const Access* racing = races(shadow.write) ? &shadow.write : write && races(shadow.read) ? &shadow.read : nullptr;
  if (racing != nullptr) *other = *racing;
  if (write) {
    shadow.write = access;
  } else {
    const bool several = shadow.read.epoch == access.epoch && shadow.read.who != access.who;
    shadow.read = {access.epoch, several ? kSeveral : access.who, access.code};
  }
  return racing != nullptr;
}

// Records an access of the current block to device memory. Bytes outside of allocations are ignored.
bool note_device_access(const void* address, size_t bytes, bool write, const Access& access, Access* other);
// Records an atomic of the current block. The caller keeps the lock until the atomic has happened: otherwise two blocks
// could be noted in one order and counted in the other, and the last of them would seem to race.
[[nodiscard]] std::unique_lock<std::mutex> note_atomic(const void* address);
void note_fence();
void forget_shadow(const void* allocation);

}  // namespace mpanet::simt
