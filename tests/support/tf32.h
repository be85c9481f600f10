// TF32 by its definition, in other arithmetic than the kernels'.
#pragma once
#include <algorithm>
#include <cmath>

namespace mpanet {

// Rounds to TF32: 11 significant bits, to nearest, ties away from zero. Below 2^-126 float's spacing is constant.
inline double rounded_to_tf32(double value) {
  if (value == 0 || !std::isfinite(value)) return value;
  int exponent = 0;  // value = fraction 2^exponent, 1/2 <= |fraction| < 1
  std::frexp(value, &exponent);
  exponent = std::max(exponent, -125);
  return std::ldexp(std::round(std::ldexp(value, 11 - exponent)), exponent - 11);
}

}  // namespace mpanet
