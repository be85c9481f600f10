// bfloat16 and float16 (core/base/real.h) against their definitions: every number, every midpoint of two numbers, and
// its neighbours on both sides.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <initializer_list>
#include <limits>

#include "core/base/real.h"

namespace {

using mpanet::bfloat16;
using mpanet::float16;

// The build's float16, and the implementation with integers for compilers without the type.
struct PlainFloat16 {
  uint16_t bits = 0;
  explicit PlainFloat16(float value) : bits(mpanet::float16_bits(value)) {}
  PlainFloat16() = default;
  explicit operator float() const { return mpanet::float16_value(bits); }
};

struct Bfloat16 {
  using Type = bfloat16;
  static constexpr int exponent_bits = 8, fraction_bits = 7;
};
struct Float16 {
  using Type = float16;
  static constexpr int exponent_bits = 5, fraction_bits = 10;
};
struct Plain {
  using Type = PlainFloat16;
  static constexpr int exponent_bits = 5, fraction_bits = 10;
};

template <class F>
struct Narrow {
  static constexpr int kBias = (1 << (F::exponent_bits - 1)) - 1;
  static constexpr uint32_t kInfinity = ((1u << F::exponent_bits) - 1) << F::fraction_bits;

  // The value of a positive finite pattern by IEEE 754; for the pattern of infinity, the next number of the same
  // spacing.
  static double value(uint32_t bits) {
    const int exponent = static_cast<int>(bits >> F::fraction_bits);
    const double fraction = bits & ((1u << F::fraction_bits) - 1);
    if (exponent == 0) return std::ldexp(fraction, 1 - kBias - F::fraction_bits);
    return std::ldexp(fraction + (1 << F::fraction_bits), exponent - kBias - F::fraction_bits);
  }
  static uint32_t bits(float value) { return typename F::Type(value).bits; }
  static float back(uint32_t bits) {
    typename F::Type narrow;
    narrow.bits = static_cast<uint16_t>(bits);
    return static_cast<float>(narrow);
  }
};

constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNaN = std::numeric_limits<float>::quiet_NaN();

TEST_CASE_TEMPLATE("every pattern is its value and comes back", F, Bfloat16, Float16, Plain) {
  using N = Narrow<F>;
  int wrong = 0;
  for (uint32_t bits = 0; bits < N::kInfinity; bits++) {
    const auto value = static_cast<float>(N::value(bits));
    wrong += N::back(bits) != value || N::bits(value) != bits;
    wrong += N::back(bits | 0x8000u) != -value || N::bits(-value) != (bits | 0x8000u);
  }
  CHECK(wrong == 0);
  CHECK(N::back(N::kInfinity) == kInfinity);
  CHECK(N::back(N::kInfinity | 0x8000u) == -kInfinity);
  CHECK(N::bits(kInfinity) == N::kInfinity);
  CHECK(N::bits(-kInfinity) == (N::kInfinity | 0x8000u));
  for (uint32_t bits = N::kInfinity + 1; bits < 0x8000u; bits++) wrong += !std::isnan(N::back(bits));
  CHECK(wrong == 0);
}

TEST_CASE_TEMPLATE("rounding is to nearest, halves to even", F, Bfloat16, Float16, Plain) {
  using N = Narrow<F>;
  int wrong = 0;
  for (uint32_t bits = 0; bits < N::kInfinity; bits++) {
    // Exact in float: one bit more than the type has. After the last number comes infinity.
    const auto middle = static_cast<float>((N::value(bits) + N::value(bits + 1)) / 2);
    const uint32_t even = bits % 2 == 0 ? bits : bits + 1;
    wrong += N::bits(middle) != even || N::bits(-middle) != (even | 0x8000u);
    wrong += N::bits(std::nextafter(middle, 0.0f)) != bits;
    wrong += N::bits(std::nextafter(middle, kInfinity)) != bits + 1;
  }
  CHECK(wrong == 0);
  CHECK(N::bits(std::numeric_limits<float>::max()) == N::kInfinity);
  CHECK(N::bits(std::numeric_limits<float>::denorm_min()) == 0);
}

TEST_CASE_TEMPLATE("a NaN stays one, whatever its payload", F, Bfloat16, Float16, Plain) {
  using N = Narrow<F>;
  CHECK(std::isnan(N::back(N::bits(kNaN))));
  CHECK(std::isnan(N::back(N::bits(-kNaN))));
  for (const uint32_t payload : {1u, 0x1000u, 0x8000u, 0x3fffffu})
    CHECK(std::isnan(N::back(N::bits(std::bit_cast<float>(0x7f800000u | payload)))));
}

}  // namespace
