// Precisions. The engine is compiled once per precision P into namespace mpanet::P; its files contain
// `namespace mpanet::PRECISION`, and the build sets PRECISION.
//   storage   activations, their gradients, the weights' working copy
//   real      accumulation, losses, normalisation statistics, parameters' gradients, optimiser state, master weights
#pragma once
#include <bit>
#include <cstdint>

namespace mpanet {

// bfloat16 and float16 convert explicitly only, so that an argument of the wrong type does not compile. They round to
// nearest, ties to even, like the hardware. Under nvcc they have no conversions: device code converts with load()
// and store() of kernels/cuda/numeric.cuh.

// The upper 16 bits of a float.
struct bfloat16 {
  uint16_t bits;
  bfloat16() = default;
#if !defined(__CUDACC__)
  explicit bfloat16(float value) {
    const uint32_t u = std::bit_cast<uint32_t>(value);
    if ((u & 0x7fffffffu) > 0x7f800000u)
      bits = static_cast<uint16_t>((u >> 16) | 0x40u);  // a NaN stays a NaN
    else
      bits = static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
  }
  explicit operator float() const { return std::bit_cast<float>(uint32_t{bits} << 16); }
#endif
};

// Conversion of a float to IEEE 754 binary16, by integers: one sign bit, five exponent bits, ten fraction bits.
constexpr uint16_t float16_bits(float value) {
  const uint32_t u = std::bit_cast<uint32_t>(value), sign = u >> 16 & 0x8000u, magnitude = u & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // 65520 and more: infinity
  if (magnitude < 0x33000000u) return static_cast<uint16_t>(sign);             // below half of the smallest: zero
  const uint32_t exponent = magnitude >> 23;
  // Below 2^-14 the result is subnormal: the fraction with its leading one is shifted right.
  const uint32_t shift = exponent < 113 ? 126 - exponent : 13;
  const uint32_t whole = exponent < 113 ? (magnitude & 0x7fffffu) | 0x800000u : magnitude - (112u << 23);
  const uint32_t kept = whole >> shift, rest = whole & ((1u << shift) - 1), half = 1u << (shift - 1);
  return static_cast<uint16_t>(sign | (kept + (rest > half || (rest == half && kept % 2 == 1))));
}

constexpr float float16_value(uint16_t bits) {
  const uint32_t sign = uint32_t{bits & 0x8000u} << 16, exponent = bits >> 10 & 31u, fraction = bits & 0x3ffu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent == 0) return (sign != 0 ? -1.0f : 1.0f) * static_cast<float>(fraction) * 0x1p-24f;
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

struct float16 {
  uint16_t bits;
  float16() = default;
#if defined(__CUDACC__)
#elif defined(__FLT16_MANT_DIG__)
  explicit float16(float value) : bits(std::bit_cast<uint16_t>(static_cast<_Float16>(value))) {}
  explicit operator float() const { return static_cast<float>(std::bit_cast<_Float16>(bits)); }
#else
  explicit float16(float value) : bits(float16_bits(value)) {}
  explicit operator float() const { return float16_value(bits); }
#endif
};

namespace f64 {
using real = double;
using storage = double;
}  // namespace f64
namespace f32 {
using real = float;
using storage = float;
}  // namespace f32
namespace bf16 {
using real = float;
using storage = bfloat16;
}  // namespace bf16
namespace f16 {
using real = float;
using storage = float16;
}  // namespace f16

// Whether a kernel overwrites its output or adds to it.
enum class Write { Set, Add };

}  // namespace mpanet
