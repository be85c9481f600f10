// Operands of convolutions and products on a stream that uses TF32: rounded copies in the caller's workspace.
#pragma once
#include <bit>
#include <cstdint>
#include <type_traits>

#include "kernels/cpu/convert.h"
#include "kernels/kernels.h"
#include "kernels/memory.h"

namespace mpanet::PRECISION::cpu {

// 10 bits after the leading one of the significand: to nearest, ties away from zero, as cvt.rna.tf32.f32 of PTX. Adding
// half of the last kept bit carries into it, and into the exponent, as rounding does. Infinities and NaN stay; a value
// that rounds to 2^128 becomes infinite.
inline float rounded_to_tf32(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const bool finite = (bits & 0x7f800000u) != 0x7f800000u;
  return std::bit_cast<float>(finite ? (bits + 0x1000u) & 0xffffe000u : bits);
}

// Whether operands of type T are rounded.
template <class T>
bool rounds_operands(Stream stream) {
  return std::is_same_v<T, float> && mpanet::cpu::uses_tf32(stream);
}

// Bytes of the copies of operands of type T with these numbers of elements; 0 if they are not rounded. Each copy has a
// multiple of 64 bytes, so that what follows is as aligned as the first.
template <class T, class... Count>
size_t rounded_bytes(Stream stream, Count... count) {
  return rounds_operands<T>(stream) ? static_cast<size_t>(((divide_up(count, 16) * 64) + ...)) : 0;
}

// The operand as it is multiplied: a rounded copy at `workspace`, which then points behind the copy, or `values`.
template <class T>
const T* operand(Stream stream, const T* values, int64_t count, void*& workspace) {
  if constexpr (std::is_same_v<T, float>) {
    if (!rounds_operands<T>(stream)) return values;
    T* const copy = static_cast<T*>(workspace);
#pragma omp parallel for simd schedule(static) if (parallel : count > kSerialCount)
    for (int64_t i = 0; i < count; i++) copy[i] = rounded_to_tf32(values[i]);
    workspace = static_cast<char*>(workspace) + rounded_bytes<T>(stream, count);
    return copy;
  } else {
    return values;
  }
}

}  // namespace mpanet::PRECISION::cpu
