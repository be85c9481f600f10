// The part of Python's random module that published protocols use: random.seed(n) with an integer, and random.choice()
// (CPython 3.2 and later).
//
// MT19937 (Matsumoto and Nishimura, "Mersenne Twister", ACM TOMACS 1998) seeded by init_by_array with the number's
// 32-bit words, the lowest first.
#pragma once
#include <array>
#include <cstdint>

namespace mpanet {

class PythonRandom {
 public:
  explicit PythonRandom(uint64_t seed);

  // The generator's next 32 bits.
  uint32_t bits();
  // Uniform in 0..n-1, like the index of random.choice() among n items: n.bit_length() bits, drawn again until they are
  // below n. n: 1..2^32-1; a call with 1 draws bits too.
  uint32_t below(uint32_t n);

 private:
  static constexpr int kWords = 624;
  void twist();

  std::array<uint32_t, kWords> state_;
  int next_ = kWords;
};

}  // namespace mpanet
