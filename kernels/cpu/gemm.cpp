// Matrix product in plain loops: the reference, in every precision.
#include "core/base/error.h"
#include "kernels/cpu/bias.h"
#include "kernels/cpu/product.h"
#include "kernels/cpu/tf32.h"

namespace mpanet::PRECISION::cpu {

void gemm(Stream stream, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const real* a,
          const real* b, const real* bias, real* c, Write write, void* workspace, const GemmStrides& given) {
  MPANET_CHECK(m > 0 && n > 0 && k > 0, "expected positive sizes, got {} x {} x {}", m, n, k);
  const GemmStrides strides = given.of(transpose_a, transpose_b, m, n, k);
  a = operand(stream, a, strides.a * (transpose_a ? k : m), workspace);
  b = operand(stream, b, strides.b * (transpose_b ? n : k), workspace);
  const int64_t row_step = transpose_b ? 1 : strides.b, column_step = transpose_b ? strides.b : 1;
  const auto pack = [&](int64_t first, int64_t length, int64_t column, int width, real* panel) {
    const real* from = b + first * row_step + column * column_step;
    for (int64_t i = 0; i < length; i++)
      for (int j = 0; j < width; j++) panel[i * kTileColumns + j] = from[i * row_step + j * column_step];
  };
  packed_product(m, n, k, a, transpose_a ? 1 : strides.a, transpose_a ? strides.a : 1, pack, c, strides.c, write);
  if (bias == nullptr) return;
  MPANET_CHECK(strides.c == n, "expected a dense result of a product with a bias, got {} of {}", n, strides.c);
  add_bias(bias, m, n, c);
}

size_t gemm_workspace_bytes(Stream stream, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                            const GemmStrides& given) {
  const GemmStrides strides = given.of(transpose_a, transpose_b, m, n, k);
  return rounded_bytes<real>(stream, strides.a * (transpose_a ? k : m), strides.b * (transpose_b ? n : k));
}

}  // namespace mpanet::PRECISION::cpu
