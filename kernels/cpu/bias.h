// The bias of a matrix product, added to its rows.
#pragma once
#include "kernels/cpu/convert.h"

namespace mpanet::PRECISION::cpu {

// y (rows, k) += bias (k)
inline void add_bias(const real* bias, int64_t rows, int64_t k, real* y) {
#pragma omp parallel for schedule(static) if (rows * k > kSerialCount)
  for (int64_t row = 0; row < rows; row++)
    for (int64_t j = 0; j < k; j++) y[row * k + j] += bias[j];
}

}  // namespace mpanet::PRECISION::cpu
