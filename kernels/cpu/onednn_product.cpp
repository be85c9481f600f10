// Matrix product in float through oneDNN.
#include <oneapi/dnnl/dnnl.h>

#include <new>

#include "core/base/error.h"
#include "kernels/cpu/gemm_product.h"

namespace mpanet::PRECISION::cpu {

void gemm_product(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const real* a, const real* b,
                  real* c, Write write, const GemmStrides& strides) {
  const dnnl_status_t status = dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, 1.0F, a, strides.a,
                                          b, strides.b, write == Write::Add ? 1.0F : 0.0F, c, strides.c);
  if (status == dnnl_out_of_memory) throw std::bad_alloc();
  MPANET_CHECK(status == dnnl_success, "oneDNN: status {}", static_cast<int>(status));
}

}  // namespace mpanet::PRECISION::cpu
