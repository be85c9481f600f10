// The matrix product of the evaluation, in one place: dot products of rows.
#pragma once
#include <cstddef>

namespace mpanet {

// gemm_nt takes m and n in multiples of this. Then every element is summed in the same order wherever it stands, so
// equal rows give equal products to the bit and tied distances stay tied (oneDNN's kernels for the rest of a matrix
// sum in another order). Pad with rows of zeros.
constexpr int kGemmRows = 48;

// c (m, n) = a (m, k) * b (n, k)^T, row-major with the given distances between rows. Runs on the calling thread if that
// is one of several in an OpenMP region, so tiles of a product can be computed side by side.
void gemm_nt(int m, int n, int k, const float* a, ptrdiff_t a_stride, const float* b, ptrdiff_t b_stride, float* c,
             ptrdiff_t c_stride);

}  // namespace mpanet
