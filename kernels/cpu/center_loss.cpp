// Center loss on features f (n, d) with centers C (k, d): 1/(n k) sum_i |f_i - C_{y_i}|^2 (docs/method.md, section 2)
#include <algorithm>

#include "kernels/cpu/convert.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {
void center_loss_forward(Stream, const real* f, const real* centers, const int32_t* labels, int n, int d, int k,
                         real* loss, void*) {
  real sum = 0;
  for (int i = 0; i < n; i++) {
    const real *fi = f + int64_t{i} * d, *c = centers + int64_t{labels[i]} * d;
    real row = 0;
#pragma omp simd reduction(+ : row)
    for (int e = 0; e < d; e++) row += (fi[e] - c[e]) * (fi[e] - c[e]);
    sum += row;
  }
  *loss = sum / (static_cast<real>(n) * static_cast<real>(k));
}

void center_loss_backward(Stream, const real* dloss, const real* f, const real* centers, const int32_t* labels, int n,
                          int d, int k, real* df, Write df_write, real* dcenters, Write dcenters_write) {
  const real factor = 2 * *dloss / (static_cast<real>(n) * static_cast<real>(k));
  if (dcenters_write == Write::Set) std::fill_n(dcenters, int64_t{k} * d, real(0));
  for (int i = 0; i < n; i++) {
    const int64_t at = int64_t{i} * d, to = int64_t{labels[i]} * d;
    for (int e = 0; e < d; e++) {
      const real g = factor * (f[at + e] - centers[to + e]);
      put(df[at + e], g, df_write);
      dcenters[to + e] -= g;
    }
  }
}

}  // namespace mpanet::PRECISION::cpu
