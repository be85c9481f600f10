// Rows of storage as rows of real, for kernels that are bound by memory. Their loops compute on arrays of real. Where
// storage is real, these are the activation's own memory. Else they are a buffer, to which panel_kernels.h converts
// with the bits of storage's own conversions: in the loops themselves compilers would convert float16 one at a time.
#pragma once
#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/panel_kernels.h"

namespace mpanet::PRECISION::cpu {

using mpanet::cpu::panel_kernels;

// Whether arrays of T are arrays of real.
template <class T>
constexpr bool kIsReal = std::is_same_v<T, real>;

// `count` numbers in real at `to`.
template <class T>
void widen(const T* from, int64_t count, real* to) {
  if constexpr (std::is_same_v<T, bfloat16>)
    panel_kernels().widen_bfloat16(&from->bits, count, to);
  else if constexpr (std::is_same_v<T, float16>)
    panel_kernels().widen_float16(&from->bits, count, to);
  else
    for (int64_t i = 0; i < count; i++) to[i] = static_cast<real>(from[i]);
}

// From real, or the floats of pictures in f64.
template <class From, class T>
void narrow(const From* from, int64_t count, T* to) {
  if constexpr (std::is_same_v<T, bfloat16>)
    panel_kernels().narrow_bfloat16(from, count, &to->bits);
  else if constexpr (std::is_same_v<T, float16>)
    panel_kernels().narrow_float16(from, count, &to->bits);
  else
    for (int64_t i = 0; i < count; i++) to[i] = static_cast<T>(static_cast<real>(from[i]));
}

// `count` numbers in real: `from` itself, or at `buffer`, which has buffer_size<T>(count) elements.
template <class T>
const real* widened(const T* from, int64_t count, [[maybe_unused]] real* buffer) {
  if constexpr (kIsReal<T>) {
    return from;
  } else {
    widen(from, count, buffer);
    return buffer;
  }
}
template <class T>
constexpr int64_t buffer_size(int64_t count) {
  return kIsReal<T> ? 1 : count;
}

// A part of a row, of kMost elements at most.
template <int kMost, class T = storage>
class Row {
 public:
  const real* read(const T* from, int64_t count) { return widened(from, count, buffer_); }

  // The array that a loop writes with put() and `write`. save() stores it.
  real* open(T* to, [[maybe_unused]] int64_t count, [[maybe_unused]] Write write) {
    if constexpr (kIsReal<T>) {
      return to;
    } else {
      if (write == Write::Add) widen(to, count, buffer_);
      return buffer_;
    }
  }
  void save([[maybe_unused]] T* to, [[maybe_unused]] int64_t count) const {
    if constexpr (!kIsReal<T>) narrow(buffer_, count, to);
  }

 private:
  alignas(64) real buffer_[static_cast<size_t>(buffer_size<T>(kMost))];
};

// Runs body(first, count) for runs of up to kRun of `count` elements.
constexpr int kRun = 1024;
template <class Body>
void for_each_run(int64_t count, const Body& body) {
#pragma omp parallel for schedule(static) if (count > kSerialCount)
  for (int64_t run = 0; run < divide_up(count, kRun); run++)
    body(run * kRun, std::min<int64_t>(kRun, count - run * kRun));
}

}  // namespace mpanet::PRECISION::cpu
