// The sort of the ranking: indices by descending number.
#pragma once
#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace mpanet {

// Unsigned order of the key is descending order of the number; -0 and 0 have the same key.
inline uint32_t descending_key(float number) {
  const uint32_t bits = std::bit_cast<uint32_t>(0.0f - number);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// Sorts indices 0..numbers.size()-1 by descending number, equal ones by ascending index: a radix sort in three passes
// of 11 bits over (key, index) pairs. The result has the index in the lower half, and is valid until the next sort().
class DescendingSort {
 public:
  std::span<const uint64_t> sort(std::span<const float> numbers) {
    items_.resize(numbers.size());
    other_.resize(numbers.size());
    std::array<std::array<uint32_t, kBins>, kPasses> starts{};
    for (size_t i = 0; i < numbers.size(); i++) {
      const uint32_t key = descending_key(numbers[i]);
      items_[i] = uint64_t{key} << 32 | i;
      for (int pass = 0; pass < kPasses; pass++) starts[pass][bin(key, pass)]++;
    }
    for (auto& counts : starts) {
      uint32_t total = 0;
      for (uint32_t& count : counts) total += std::exchange(count, total);
    }
    for (int pass = 0; pass < kPasses; pass++) {
      for (const uint64_t item : items_) other_[starts[pass][bin(item >> 32, pass)]++] = item;
      items_.swap(other_);
    }
    return items_;
  }

 private:
  static constexpr int kPasses = 3, kBits = 11, kBins = 1 << kBits;
  static size_t bin(uint64_t key, int pass) { return key >> (pass * kBits) & (kBins - 1); }
  std::vector<uint64_t> items_, other_;
};

}  // namespace mpanet
