// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
// A stream depends only on (seed, purpose, epoch, index), and not on the number of threads or the order of their
// calls. Give every picture, parameter or batch an index of its own.
#pragma once
#include <array>
#include <cmath>
#include <cstdint>

namespace mpanet {

// One Philox4x32-10 block: ten rounds over a counter of four words under a key of two.
constexpr std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; round++) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0], b = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

// The use of a random stream. Results depend on these numbers: append new ones, change none.
enum class Purpose : uint32_t { Init = 1, Sampler, Augment, Synth, Chance, Test };

class Random {
 public:
  Random(uint64_t seed, Purpose purpose, uint32_t epoch, uint32_t index)
      : key_{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)},
        counter_{0, static_cast<uint32_t>(purpose), epoch, index} {}

  uint32_t bits() {
    if (left_ == 0) {
      block_ = philox(counter_, key_);
      counter_[0]++;
      left_ = 4;
    }
    return block_[4 - left_--];
  }
  // Uniform in [0, 1), a multiple of 2^-53.
  double uniform() {
    const uint64_t high = bits() >> 5, low = bits() >> 6;
    return static_cast<double>((high << 26) | low) * 0x1p-53;
  }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  // Uniform in 0..n-1 without bias (rejection); n >= 1.
  uint32_t below(uint32_t n) {
    const uint32_t threshold = (0u - n) % n;
    for (;;) {
      const uint64_t product = uint64_t{bits()} * n;
      if (static_cast<uint32_t>(product) >= threshold) return static_cast<uint32_t>(product >> 32);
    }
  }
  // Standard normal (Box-Muller). The second value of the pair is dropped, so that every call uses four words.
  double normal() {
    const double u = 1.0 - uniform(), v = uniform();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586476925 * v);
  }
  // Fisher-Yates shuffle; calls below() size - 1 times.
  template <class Container>
  void shuffle(Container& items) {
    for (size_t i = items.size(); i > 1; i--) {
      using std::swap;
      swap(items[i - 1], items[below(static_cast<uint32_t>(i))]);
    }
  }

 private:
  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 4> counter_;
  std::array<uint32_t, 4> block_{};
  int left_ = 0;
};

}  // namespace mpanet
