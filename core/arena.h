// The memory of a step's tensors: best fit inside one slab, freed neighbours merge. The same sequence of requests gives
// the same addresses, so a step whose size a planning run measured always fits.
//   Plan    returns addresses that must not be accessed, and records the bytes that a slab would need
//   Slab    memory of exactly that size; one byte more is a CheckError
//   Loose   for tests: each block is its own allocation, so that sanitizers and guard zones see overruns
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <utility>

namespace mpanet {

class Arena {
 public:
  enum class Mode { Plan, Slab, Loose };
  static constexpr size_t kAlignment = 256;

  // Allocates and frees Loose memory.
  struct Loose {
    std::function<void*(size_t bytes)> take;
    std::function<void(void* memory)> give_back;
  };

  // Without `loose`: host memory.
  explicit Arena(Mode mode, Loose loose = {});
  // A slab over memory that the caller owns.
  Arena(void* memory, size_t bytes) : mode_(Mode::Slab), base_(static_cast<char*>(memory)), limit_(bytes) {
    free_whole();
  }
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  void* allocate(size_t bytes);
  void release(void* memory);
  size_t peak() const { return peak_; }  // highest end of any block so far: the slab's size
  size_t used() const { return used_; }  // bytes handed out now
  Mode mode() const { return mode_; }

 private:
  void free_whole();
  size_t take(size_t bytes);
  Mode mode_;
  Loose loose_;
  // First address of Plan; not null, never accessed.
  char* base_ = reinterpret_cast<char*>(kAlignment);
  size_t limit_ = SIZE_MAX, peak_ = 0, used_ = 0;
  std::map<size_t, size_t> free_;                   // offset -> bytes
  std::set<std::pair<size_t, size_t>> free_sizes_;  // (bytes, offset)
  std::map<size_t, size_t> blocks_;                 // offset (Loose: address) -> bytes
};

}  // namespace mpanet
