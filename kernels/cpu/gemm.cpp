// gemm(): checks, rounding to TF32 and bias, around gemm_product().
#include "core/base/error.h"
#include "kernels/cpu/gemm_product.h"
#include "kernels/cpu/tf32.h"

namespace mpanet::PRECISION::cpu {
namespace {

// y (rows, k) += bias (k)
void add_bias(const real* bias, int64_t rows, int64_t k, real* y) {
#pragma omp parallel for schedule(static) if (rows * k > kSerialCount)
  for (int64_t row = 0; row < rows; row++)
    for (int64_t j = 0; j < k; j++) y[row * k + j] += bias[j];
}

}  // namespace

void gemm(Stream stream, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const real* a,
          const real* b, const real* bias, real* c, Write write, void* workspace, const GemmStrides& given) {
  MPANET_CHECK(m > 0 && n > 0 && k > 0, "expected positive sizes, got {} x {} x {}", m, n, k);
  const GemmStrides strides = given.of(transpose_a, transpose_b, m, n, k);
  a = operand(stream, a, strides.a * (transpose_a ? k : m), workspace);
  b = operand(stream, b, strides.b * (transpose_b ? n : k), workspace);
  gemm_product(transpose_a, transpose_b, m, n, k, a, b, c, write, strides);
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
