// Convolutions and matrix products of f64's cpu backend on plain arrays, for the rounded precision (rounded.h). Shapes
// as in kernels/kernels.inc.
#pragma once
#include <cstdint>

#include "kernels/types.h"

namespace mpanet::exact {

// scale, shift (k) and residual (as y) may be null.
void conv_forward(const ConvShape& s, const double* x, const double* w, const double* scale, const double* shift,
                  const double* residual, bool relu, double* y);
// The results are added to dx and dw if `add`.
void conv_backward_data(const ConvShape& s, const double* dy, const double* w, double* dx, bool add);
void conv_backward_weights(const ConvShape& s, const double* x, const double* dy, double* dw, bool add);
void gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const double* a, const double* b,
          const double* bias, double* c, bool add, const GemmStrides& strides);

}  // namespace mpanet::exact
