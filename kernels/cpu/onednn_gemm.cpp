// Matrix product in float through oneDNN.
#include <oneapi/dnnl/dnnl.h>

#include <new>

#include "core/base/error.h"
#include "kernels/cpu/bias.h"
#include "kernels/cpu/tf32.h"

namespace mpanet::PRECISION::cpu {

void gemm(Stream stream, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const real* a,
          const real* b, const real* bias, real* c, Write write, void* workspace, const GemmStrides& given) {
  MPANET_CHECK(m > 0 && n > 0 && k > 0, "expected positive sizes, got {} x {} x {}", m, n, k);
  const GemmStrides strides = given.of(transpose_a, transpose_b, m, n, k);
  a = operand(stream, a, strides.a * (transpose_a ? k : m), workspace);
  b = operand(stream, b, strides.b * (transpose_b ? n : k), workspace);
  const dnnl_status_t status = dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, 1.0F, a, strides.a,
                                          b, strides.b, write == Write::Add ? 1.0F : 0.0F, c, strides.c);
  if (status == dnnl_out_of_memory) throw std::bad_alloc();
  MPANET_CHECK(status == dnnl_success, "oneDNN: status {}", static_cast<int>(status));
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
