// Log-sum-exp, for the losses on logits.
#pragma once
#include <algorithm>
#include <cmath>

#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {

// log sum_j exp(row_j), computed as max + log sum_j exp(row_j - max).
inline real log_sum_exp(const real* row, int k) {
  const real top = *std::max_element(row, row + k);
  real s = 0;
  for (int j = 0; j < k; j++) s += std::exp(row[j] - top);
  return top + std::log(s);
}

}  // namespace mpanet::PRECISION::cpu
