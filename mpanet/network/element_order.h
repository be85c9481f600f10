// The order of a parameter's elements in memory and in files.
#pragma once
#include <cstdint>

#include "layers/parameter.h"

namespace mpanet::PRECISION {

// Calls body(index in PyTorch's order, index in memory) for every element. Convolution weights are OIHW in PyTorch's
// order and OHWI in memory.
template <class Body>
void for_each_element(const Parameter& p, const Body& body) {
  if (p.shape.size() != 4) {
    for (int64_t i = 0; i < p.count; i++) body(i, i);
    return;
  }
  const int64_t c = p.shape[1], area = p.shape[2] * p.shape[3];
  for (int64_t k = 0; k < p.shape[0]; k++)
    for (int64_t j = 0; j < c; j++)
      for (int64_t a = 0; a < area; a++) body((k * c + j) * area + a, (k * area + a) * c + j);
}

}  // namespace mpanet::PRECISION
