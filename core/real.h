// Precisions. The engine is compiled once per precision P into namespace mpanet::P; every file of it says
// `namespace mpanet::PRECISION`, and the build sets PRECISION.
//   storage   activations, their gradients, the weights' working copy
//   real      accumulation, losses, normalisation statistics, parameters' gradients, optimiser state, master weights
#pragma once
#include <bit>
#include <cstdint>

namespace mpanet {

// The upper half of a float; both conversions explicit, rounding to nearest even as the hardware does.
struct bfloat16 {
  uint16_t bits = 0;
  bfloat16() = default;
  explicit bfloat16(float value) {
    const uint32_t u = std::bit_cast<uint32_t>(value);
    if ((u & 0x7fffffffu) > 0x7f800000u)
      bits = static_cast<uint16_t>((u >> 16) | 0x40u);  // a NaN stays a NaN
    else
      bits = static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
  }
  explicit operator float() const { return std::bit_cast<float>(uint32_t{bits} << 16); }
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

// How a kernel treats what is already in its output.
enum class Write { Set, Add };

}  // namespace mpanet
