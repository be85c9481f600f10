// Channel attention of the modality alleviation module, on pooled features (n, c):
//   hidden = relu(pooled w1'), mask = sigmoid(hidden w2')
//   da = dmask mask (1 - mask),  dw2 = da' hidden,  dh = (da w2) where hidden > 0,  dw1 = dh' pooled,  dpooled = dh w1
#include <algorithm>
#include <cmath>

#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {

// da and dh (backward only), then gemm()'s.
size_t channel_attention_workspace_bytes(Stream stream, int n, int c, int h) {
  const size_t products =
      std::max({gemm_workspace_bytes(stream, false, true, n, h, c), gemm_workspace_bytes(stream, false, true, n, c, h),
                gemm_workspace_bytes(stream, true, false, c, h, n)});
  return static_cast<size_t>(n) * static_cast<size_t>(c + h) * sizeof(real) + products;
}

void channel_attention_forward(Stream stream, const real* pooled, const real* w1, const real* w2, int n, int c, int h,
                               real* hidden, real* mask, void* workspace) {
  gemm(stream, false, true, n, h, c, pooled, w1, nullptr, hidden, Write::Set, workspace);
  for (int64_t i = 0; i < int64_t{n} * h; i++) hidden[i] = hidden[i] > 0 ? hidden[i] : 0;
  gemm(stream, false, true, n, c, h, hidden, w2, nullptr, mask, Write::Set, workspace);
  sigmoid_forward(stream, mask, mask, int64_t{n} * c);
}

void channel_attention_backward(Stream stream, const real* dmask, const real* mask, const real* hidden,
                                const real* pooled, const real* w1, const real* w2, int n, int c, int h, real* dpooled,
                                real* dw1, Write dw1_write, real* dw2, Write dw2_write, void* workspace) {
  real* da = static_cast<real*>(workspace);  // (n, c)
  real* dh = da + int64_t{n} * c;            // (n, h)
  real* rest = dh + int64_t{n} * h;
  sigmoid_backward(stream, dmask, mask, da, int64_t{n} * c, Write::Set);
  gemm(stream, true, false, c, h, n, da, hidden, nullptr, dw2, dw2_write, rest);
  gemm(stream, false, false, n, h, c, da, w2, nullptr, dh, Write::Set, rest);
  for (int64_t i = 0; i < int64_t{n} * h; i++)
    if (!(hidden[i] > 0)) dh[i] = 0;
  gemm(stream, true, false, h, c, n, dh, pooled, nullptr, dw1, dw1_write, rest);
  gemm(stream, false, false, n, c, h, dh, w1, nullptr, dpooled, Write::Set, rest);
}

}  // namespace mpanet::PRECISION::cpu
