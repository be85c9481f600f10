// Mutual mean learning on logits (n, k), rows `stride` apart: 1/n sum_i sum_k p_ik (log p_ik - log q_ik), p from the
// live classifier of row i's modality, q from the other modality's teacher;
//   dlogit_p = p (log p - log q - KL_i) / n, no gradient through q, 0 in the live classifier of the other modality
// One block per row reads p's and q's logits three times (maxima, sums, divergence); the second and third read hit L1.
// One block adds the rows' divergences in a fixed order. kept (n, 3): log-sum-exp of p's logits, of q's, KL_i.
// Bytes: forward reads, per row, two of the four logits matrices once from DRAM. Backward reads two and writes both
// gradients (zeros only with Write::Set).
#include "kernels/cuda/softmax.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

struct Shared {
  real values[kWarp];
};

struct Inputs {
  const real *live_visible, *live_infrared, *teacher_visible, *teacher_infrared;
  int stride;

  __device__ const real* p_row(bool infrared, int row) const {
    return (infrared ? live_infrared : live_visible) + int64_t{row} * stride;
  }
  __device__ const real* q_row(bool infrared, int row) const {
    return (infrared ? teacher_visible : teacher_infrared) + int64_t{row} * stride;
  }
};

__global__ void __launch_bounds__(kRowThreads, kRowBlocks)
    divergence_kernel(Inputs logits, const uint8_t* infrared, int k, real* kept) {
  Shared& s = shared_memory<Shared>();
  const int row = blockIdx.x;
  const real* p = logits.p_row(infrared[row] != 0, row);
  const real* q = logits.q_row(infrared[row] != 0, row);
  const real lse_p = log_sum_exp(p, k, s.values), lse_q = log_sum_exp(q, k, s.values);
  real kl = 0;
  for (int j = threadIdx.x; j < k; j += kRowThreads) {
    const real log_p = p[j] - lse_p;
    kl += exp(log_p) * (log_p - (q[j] - lse_q));
  }
  kl = block_reduce(kl, s.values);
  if (threadIdx.x > 0) return;
  kept[int64_t{row} * 3] = lse_p;
  kept[int64_t{row} * 3 + 1] = lse_q;
  kept[int64_t{row} * 3 + 2] = kl;
}

__global__ void __launch_bounds__(kRowThreads, kRowBlocks) loss_kernel(const real* kept, int n, real* loss) {
  Shared& s = shared_memory<Shared>();
  real sum = 0;
  for (int i = threadIdx.x; i < n; i += kRowThreads) sum += kept[int64_t{i} * 3 + 2];
  sum = block_reduce(sum, s.values);
  if (threadIdx.x == 0) *loss = sum / static_cast<real>(n);
}

__global__ void __launch_bounds__(kRowThreads, kRowBlocks)
    backward_kernel(const real* dloss, Inputs logits, const uint8_t* infrared, int n, int k, const real* kept,
                    real* dlive_visible, Write visible_write, real* dlive_infrared, Write infrared_write) {
  const real factor = *dloss / static_cast<real>(n);
  const int row = blockIdx.x;
  const bool is_infrared = infrared[row] != 0;
  const real* p = logits.p_row(is_infrared, row);
  const real* q = logits.q_row(is_infrared, row);
  const real lse_p = kept[int64_t{row} * 3], lse_q = kept[int64_t{row} * 3 + 1], kl = kept[int64_t{row} * 3 + 2];
  real* own = (is_infrared ? dlive_infrared : dlive_visible) + int64_t{row} * logits.stride;
  real* other = (is_infrared ? dlive_visible : dlive_infrared) + int64_t{row} * logits.stride;
  const Write own_write = is_infrared ? infrared_write : visible_write;
  const Write other_write = is_infrared ? visible_write : infrared_write;
  for (int j = threadIdx.x; j < logits.stride; j += kRowThreads) {
    const real log_p = j < k ? p[j] - lse_p : real{0};
    put(own[j], j < k ? factor * exp(log_p) * (log_p - (q[j] - lse_q) - kl) : real{0}, own_write);
    if (other_write == Write::Set) other[j] = 0;
  }
}

}  // namespace

void mutual_kl_forward(Stream stream, const real* live_visible, const real* live_infrared, const real* teacher_visible,
                       const real* teacher_infrared, const uint8_t* infrared, int n, int k, int stride, real* kept,
                       real* loss) {
  KERNEL_CHECK(n > 0 && k > 0, "a batch of logits");
  const Inputs logits{live_visible, live_infrared, teacher_visible, teacher_infrared, stride};
  LAUNCH(divergence_kernel, static_cast<unsigned>(n), kRowThreads, sizeof(Shared), stream, logits, infrared, k, kept);
  LAUNCH(loss_kernel, 1, kRowThreads, sizeof(Shared), stream, kept, n, loss);
}

void mutual_kl_backward(Stream stream, const real* dloss, const real* live_visible, const real* live_infrared,
                        const real* teacher_visible, const real* teacher_infrared, const uint8_t* infrared, int n,
                        int k, int stride, const real* kept, real* dlive_visible, Write visible_write,
                        real* dlive_infrared, Write infrared_write) {
  KERNEL_CHECK(n > 0 && k > 0, "a batch of logits");
  const Inputs logits{live_visible, live_infrared, teacher_visible, teacher_infrared, stride};
  LAUNCH(backward_kernel, static_cast<unsigned>(n), kRowThreads, 0, stream, dloss, logits, infrared, n, k, kept,
         dlive_visible, visible_write, dlive_infrared, infrared_write);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
