// Channel attention of the modality alleviation module, on pooled features (n, c), with h hidden channels:
//   forward     hidden = relu(pooled w1'), mask = sigmoid(hidden w2');  w1 (h, c), w2 (c, h)
//   backward    da = dmask mask (1 - mask),  dw2 = da' hidden,  dh = da w2 where hidden > 0
//               dw1 = dh' pooled,  dpooled = dh w1
//
// Mapping: two products forward and four backward, by gemm() in real. Elementwise kernels run in place with one thread
// per element, on at most n c values. The work is small (n 128, c 2048, h 128: 34 MFLOP per product, 1 MB per operand),
// so the launches take longer than the bytes: besides the products' 2 n h + 3 n c reals forward and 3 n h + 3 n c
// backward, which are all in the L2 cache.
#include <algorithm>

#include "kernels/cuda/numeric.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr int kThreads = 256;

// hidden = max(hidden, 0)
__global__ void channel_attention_relu_kernel(real* hidden, int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < count) hidden[i] = rectify(hidden[i]);
}

// dh = dh where hidden > 0, else 0
__global__ void channel_attention_gate_kernel(const real* hidden, real* dh, int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < count && !(hidden[i] > 0)) dh[i] = 0;
}

unsigned blocks_for(int64_t count) { return static_cast<unsigned>(divide_up(count, kThreads)); }

// Bytes of da (n, c) and dh (n, h), which precede gemm()'s workspace.
size_t gradient_bytes(int n, int c, int h) {
  return static_cast<size_t>(divide_up(int64_t{n} * (c + h) * static_cast<int64_t>(sizeof(real)), 256) * 256);
}

}  // namespace

size_t channel_attention_workspace_bytes(Stream stream, int n, int c, int h) {
  const size_t forward =
      std::max(gemm_workspace_bytes(stream, false, true, n, h, c), gemm_workspace_bytes(stream, false, true, n, c, h));
  const size_t backward = std::max(
      {gemm_workspace_bytes(stream, true, false, c, h, n), gemm_workspace_bytes(stream, false, false, n, h, c),
       gemm_workspace_bytes(stream, true, false, h, c, n), gemm_workspace_bytes(stream, false, false, n, c, h)});
  return std::max(forward, gradient_bytes(n, c, h) + backward);
}

void channel_attention_forward(Stream stream, const real* pooled, const real* w1, const real* w2, int n, int c, int h,
                               real* hidden, real* mask, void* workspace) {
  const int64_t count = int64_t{n} * h;
  gemm(stream, false, true, n, h, c, pooled, w1, nullptr, hidden, Write::Set, workspace);
  LAUNCH(channel_attention_relu_kernel, blocks_for(count), kThreads, 0, stream, hidden, count);
  gemm(stream, false, true, n, c, h, hidden, w2, nullptr, mask, Write::Set, workspace);
  sigmoid_forward(stream, mask, mask, int64_t{n} * c);
}

void channel_attention_backward(Stream stream, const real* dmask, const real* mask, const real* hidden,
                                const real* pooled, const real* w1, const real* w2, int n, int c, int h, real* dpooled,
                                real* dw1, Write dw1_write, real* dw2, Write dw2_write, void* workspace) {
  const int64_t count = int64_t{n} * h;
  real* da = static_cast<real*>(workspace);  // (n, c)
  real* dh = da + int64_t{n} * c;            // (n, h)
  void* rest = static_cast<char*>(workspace) + gradient_bytes(n, c, h);
  sigmoid_backward(stream, dmask, mask, da, int64_t{n} * c, Write::Set);
  gemm(stream, true, false, c, h, n, da, hidden, nullptr, dw2, dw2_write, rest);
  gemm(stream, false, false, n, h, c, da, w2, nullptr, dh, Write::Set, rest);
  LAUNCH(channel_attention_gate_kernel, blocks_for(count), kThreads, 0, stream, hidden, dh, count);
  gemm(stream, true, false, h, c, n, dh, pooled, nullptr, dw1, dw1_write, rest);
  gemm(stream, false, false, n, c, h, dh, w1, nullptr, dpooled, Write::Set, rest);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
