// Races, seen by kernels that were compiled with memory-access hooks (hooks.cpp): every access to shared memory and to
// allocated device memory leaves a note in a shadow cell of its byte.
//   shared   two warps touch a byte, one writes, and the block passed no barrier in between; lanes of one warp count as
//            ordered
//   device   two blocks of a launch touch a byte and one writes, atomics excepted; a __threadfence() and then an atomic
//            in one block order it before a later atomic on the same address in another
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace mpanet::simt {

// Set by the first instrumented object file.
extern bool recording;

// `who` did it in `epoch`: an access of another epoch is ordered with it.
struct Access {
  uint32_t epoch = 0, who = 0;
  const void* code = nullptr;
};
struct ShadowCell {
  Access write, read;
};
constexpr uint32_t kSeveral = 0xffffffffu;  // more than one reader

// Notes the access and returns an earlier one that races with it, if any.
const Access* note(ShadowCell& cell, bool write, const Access& access);

class SharedRaces {
 public:
  // A new epoch: a barrier was passed or a block begins.
  void next_epoch() { epoch_++; }
  const Access* note(size_t byte, bool write, uint32_t warp, const void* code);

 private:
  std::vector<ShadowCell> cells_;
  uint32_t epoch_ = 1;
};

// For the running block: what orders it with others.
void note_atomic(const void* address);
void note_fence();

// File and line of an instruction, or its place in the program.
std::string source_line(const void* code);

}  // namespace mpanet::simt
