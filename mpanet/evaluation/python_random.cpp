#include "mpanet/evaluation/python_random.h"

#include <algorithm>
#include <bit>

namespace mpanet {

PythonRandom::PythonRandom(uint64_t seed) {
  const uint32_t key[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  const int length = key[1] ? 2 : 1;
  const auto mixed = [&](int i, uint32_t factor) {
    return state_[i] ^ ((state_[i - 1] ^ state_[i - 1] >> 30) * factor);
  };
  state_[0] = 19650218;
  for (int i = 1; i < kWords; i++) state_[i] = 1812433253u * (state_[i - 1] ^ state_[i - 1] >> 30) + i;
  int i = 1, j = 0;
  const auto advance = [&] {
    if (++i < kWords) return;
    state_[0] = state_[kWords - 1];
    i = 1;
  };
  for (int k = std::max(kWords, length); k > 0; k--) {
    state_[i] = mixed(i, 1664525) + key[j] + j;
    advance();
    j = (j + 1) % length;
  }
  for (int k = kWords - 1; k > 0; k--) {
    state_[i] = mixed(i, 1566083941) - i;
    advance();
  }
  state_[0] = 0x80000000u;
}

void PythonRandom::twist() {
  for (int i = 0; i < kWords; i++) {
    const uint32_t joined = (state_[i] & 0x80000000u) | (state_[(i + 1) % kWords] & 0x7fffffffu);
    state_[i] = state_[(i + 397) % kWords] ^ joined >> 1 ^ (joined & 1 ? 0x9908b0dfu : 0);
  }
  next_ = 0;
}

uint32_t PythonRandom::bits() {
  if (next_ == kWords) twist();
  uint32_t word = state_[next_++];
  word ^= word >> 11;
  word ^= word << 7 & 0x9d2c5680u;
  word ^= word << 15 & 0xefc60000u;
  return word ^ word >> 18;
}

uint32_t PythonRandom::below(uint32_t n) {
  const int dropped = 32 - std::bit_width(n);
  for (;;)
    if (const uint32_t drawn = bits() >> dropped; drawn < n) return drawn;
}

}  // namespace mpanet
