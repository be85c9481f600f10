// The product that gemm() computes: by oneDNN in f32 if the build has it (onednn_product.cpp), else by plain loops
// (gemm_product.cpp).
#pragma once
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {

// c (m, n) = or += op(a) op(b), as gemm(). The caller has rounded the operands if the stream uses TF32, and has set
// every stride.
void gemm_product(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const real* a, const real* b,
                  real* c, Write write, const GemmStrides& strides);

}  // namespace mpanet::PRECISION::cpu
