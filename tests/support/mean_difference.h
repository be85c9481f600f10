#pragma once
#include <doctest/doctest.h>

#include <cstdlib>

#include "data/pictures/image.h"

namespace mpanet {

// The mean of |a - b| over all values of two pictures of equal size, 0..255.
inline double mean_difference(const Image& a, const Image& b) {
  REQUIRE(a.pixels.size() == b.pixels.size());
  double sum = 0;
  for (size_t i = 0; i < a.pixels.size(); i++) sum += std::abs(int{a.pixels[i]} - int{b.pixels[i]});
  return sum / static_cast<double>(a.pixels.size());
}

}  // namespace mpanet
