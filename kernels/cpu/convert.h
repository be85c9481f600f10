// Conversion between storage and real, and put(), which implements Write, for all cpu kernels.
#pragma once
#include <algorithm>
#include <cstdint>

#include "core/base/real.h"

namespace mpanet::PRECISION::cpu {

inline real load(const storage& value) { return static_cast<real>(value); }

template <class T>
T store(real value) {
  return static_cast<T>(value);
}

template <class T>
void put(T& to, real value, Write write) {
  to = store<T>(write == Write::Add ? static_cast<real>(to) + value : value);
}

// ReLU; NaN for NaN.
inline real rectify(real value) { return value < 0 ? real{0} : value; }

// Loops with fewer elements run on one thread, because waking other threads would take longer.
constexpr int64_t kSerialCount = 1 << 14;

constexpr int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace mpanet::PRECISION::cpu
