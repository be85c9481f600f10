#include "core/arena.h"

#include <algorithm>
#include <cstdint>
#include <new>

#include "core/base/error.h"

namespace mpanet {

Arena::Arena(Mode mode, Loose loose) : mode_(mode), loose_(std::move(loose)) {
  constexpr std::align_val_t kAligned{kAlignment};
  if (!loose_.take) loose_.take = [=](size_t bytes) { return ::operator new(bytes, kAligned); };
  if (!loose_.give_back) loose_.give_back = [=](void* memory) { ::operator delete(memory, kAligned); };
  free_whole();
}

Arena::~Arena() {
  if (mode_ != Mode::Loose) return;
  for (const auto& [address, bytes] : blocks_) loose_.give_back(reinterpret_cast<void*>(address));
}

// A slab also begins as one block of unlimited size. With its real size, best fit could choose other blocks than in the
// planning run.
void Arena::free_whole() {
  free_[0] = SIZE_MAX / 2;
  free_sizes_.insert({SIZE_MAX / 2, 0});
}

size_t Arena::take(size_t bytes) {
  const auto fit = free_sizes_.lower_bound({bytes, 0});
  const auto [size, offset] = *fit;
  MPANET_CHECK(offset + bytes <= limit_, "{} bytes do not fit into the planned {} ({} in use)", bytes, limit_, used_);
  free_sizes_.erase(fit);
  free_.erase(offset);
  if (size > bytes) {
    free_[offset + bytes] = size - bytes;
    free_sizes_.insert({size - bytes, offset + bytes});
  }
  return offset;
}

void* Arena::allocate(size_t bytes) {
  const size_t asked = std::max<size_t>(bytes, 1);
  bytes = (asked + kAlignment - 1) / kAlignment * kAlignment;
  if (mode_ == Mode::Loose) {
    void* memory = loose_.take(asked);
    used_ += bytes;
    peak_ = std::max(peak_, used_);
    blocks_[reinterpret_cast<size_t>(memory)] = bytes;
    return memory;
  }
  const size_t offset = take(bytes);
  used_ += bytes;
  blocks_[offset] = bytes;
  peak_ = std::max(peak_, offset + bytes);
  return base_ + offset;
}

void Arena::release(void* memory) {
  const size_t key =
      mode_ == Mode::Loose ? reinterpret_cast<size_t>(memory) : static_cast<size_t>(static_cast<char*>(memory) - base_);
  const auto block = blocks_.find(key);
  MPANET_CHECK(block != blocks_.end(), "{} was not handed out", memory);
  size_t offset = key, bytes = block->second;
  used_ -= bytes;
  blocks_.erase(block);
  if (mode_ == Mode::Loose) {
    loose_.give_back(memory);
    return;
  }
  auto next = free_.lower_bound(offset);
  if (next != free_.end() && offset + bytes == next->first) {
    bytes += next->second;
    free_sizes_.erase({next->second, next->first});
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == offset) {
      offset = before->first;
      bytes += before->second;
      free_sizes_.erase({before->second, before->first});
      free_.erase(before);
    }
  }
  free_[offset] = bytes;
  free_sizes_.insert({bytes, offset});
}

}  // namespace mpanet
