// The product in gemm(): by plain loops (gemm_product.cpp) or by oneDNN, which a build has instead in f32
// (onednn_product.cpp).
#pragma once
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {

// c (m, n) = or += op(a) op(b), as gemm(), of operands that are rounded where the stream asks for it. Every stride is
// set.
void gemm_product(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const real* a, const real* b,
                  real* c, Write write, const GemmStrides& strides);

}  // namespace mpanet::PRECISION::cpu
