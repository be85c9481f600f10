// What the losses on logits share.
#pragma once
#include <algorithm>
#include <cmath>

#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {

// log sum_j exp(row_j), with the row's maximum taken out first.
inline real log_sum_exp(const real* row, int k) {
  const real top = *std::max_element(row, row + k);
  real s = 0;
  for (int j = 0; j < k; j++) s += std::exp(row[j] - top);
  return top + std::log(s);
}

}  // namespace mpanet::PRECISION::cpu
