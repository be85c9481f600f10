// Matrix product in plain loops: the reference in f64, and the product of every precision without oneDNN.
#include "kernels/cpu/gemm_product.h"

#include "kernels/cpu/product.h"

namespace mpanet::PRECISION::cpu {

void gemm_product(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const real* a, const real* b,
                  real* c, Write write, const GemmStrides& strides) {
  const int64_t row_step = transpose_b ? 1 : strides.b, column_step = transpose_b ? strides.b : 1;
  const auto pack = [&](int64_t first, int64_t length, int64_t column, int width, real* panel) {
    const real* from = b + first * row_step + column * column_step;
    for (int64_t i = 0; i < length; i++)
      for (int j = 0; j < width; j++) panel[i * kTileColumns + j] = from[i * row_step + j * column_step];
  };
  packed_product(m, n, k, a, transpose_a ? 1 : strides.a, transpose_a ? strides.a : 1, pack, c, strides.c, write);
}

}  // namespace mpanet::PRECISION::cpu
