// Races, seen by kernels that were compiled with memory-access hooks (hooks.cpp): every access to shared memory and to
// allocated device memory leaves a note in the shadow of each byte.
//   shared   two warps touch a byte, one writes, and the block passed no barrier in between; lanes of one warp count as
//            ordered
//   device   two blocks of a launch touch a byte and one writes, atomics excepted; a __threadfence() and then an atomic
//            in one block order it before a later atomic on the same address in another
#pragma once
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <string>

#include "kernels/emu/runtime.h"

namespace mpanet::simt {

// Whether accesses are noted: the program has instrumented kernels and nobody has switched the check off.
extern bool recording;
void found_instrumented_code();

// Where an access stands: an instruction, or a line where the emulation itself does the access.
struct Code {
  const void* instruction = nullptr;
  Where where = {};
};
std::string text_of(const Code& code);

// `who`, a warp or a block, did it in `epoch`: what happened in different epochs is ordered.
struct Access {
  uint32_t epoch = 0, who = 0;
  Code code;
};
struct ShadowByte {
  Access write, read;
};
constexpr uint32_t kSeveral = 0xffffffffu;  // more than one reader

// One ShadowByte per byte, zero at first; only touched pages take memory.
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

// Notes the access; true and *other when an earlier one races with it. ordered(who) excuses one.
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

// Device memory, for the running block. Bytes outside every allocation are nobody's business.
bool note_device_access(const void* address, size_t bytes, bool write, const Access& access, Access* other);
void note_atomic(const void* address);
void note_fence();
void forget_shadow(const void* allocation);

}  // namespace mpanet::simt
