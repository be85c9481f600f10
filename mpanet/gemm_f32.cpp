#include "mpanet/gemm_f32.h"

#include "core/error.h"
#ifdef MPANET_HAS_ONEDNN
#  include <oneapi/dnnl/dnnl.h>
#endif

namespace mpanet {
#ifndef MPANET_HAS_ONEDNN
namespace {

constexpr int kTile = 4, kLanes = 16;  // rows of a and b at a time; partial sums of each product

// (kTile, kTile) products of rows; the lanes' partial sums are what lets the compiler use vectors.
void tile(int k, const float* a, ptrdiff_t a_stride, const float* b, ptrdiff_t b_stride, float* c, ptrdiff_t c_stride) {
  float sums[kTile][kTile][kLanes] = {};
  const int whole = k / kLanes * kLanes;
  for (int x = 0; x < whole; x += kLanes)
    for (int i = 0; i < kTile; i++)
      for (int j = 0; j < kTile; j++)
        for (int l = 0; l < kLanes; l++) sums[i][j][l] += a[i * a_stride + x + l] * b[j * b_stride + x + l];
  for (int i = 0; i < kTile; i++)
    for (int j = 0; j < kTile; j++) {
      float sum = 0;
      for (int l = 0; l < kLanes; l++) sum += sums[i][j][l];
      for (int x = whole; x < k; x++) sum += a[i * a_stride + x] * b[j * b_stride + x];
      c[i * c_stride + j] = sum;
    }
}

}  // namespace
#endif

void gemm_nt(int m, int n, int k, const float* a, ptrdiff_t a_stride, const float* b, ptrdiff_t b_stride, float* c,
             ptrdiff_t c_stride) {
  CHECK(m % kGemmRows == 0 && n % kGemmRows == 0, "rows must be multiples of {}, got {} and {}", kGemmRows, m, n);
  if (m == 0 || n == 0) return;
#ifdef MPANET_HAS_ONEDNN
  const dnnl_status_t status = dnnl_sgemm('N', 'T', m, n, k, 1.0f, a, a_stride, b, b_stride, 0.0f, c, c_stride);
  CHECK(status == dnnl_success, "dnnl_sgemm gave status {} for {} x {} x {}", static_cast<int>(status), m, n, k);
#else
  static_assert(kGemmRows % kTile == 0);
  for (int i = 0; i < m; i += kTile)
    for (int j = 0; j < n; j += kTile)
      tile(k, a + i * a_stride, a_stride, b + j * b_stride, b_stride, c + i * c_stride + j, c_stride);
#endif
}

}  // namespace mpanet
