// Mutual mean learning on logits (n, k):
//   1/n sum_i sum_k p_ik (log p_ik - log q_ik), p from the live classifier of row i's modality, q from the other
//   modality's teacher;  dlogit_p = p (log p - log q - KL_i) / n, no gradient through q
#include <cmath>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/softmax.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {
void mutual_kl_forward(Stream, const real* live_visible, const real* live_infrared, const real* teacher_visible,
                       const real* teacher_infrared, const uint8_t* infrared, int n, int k, int stride, real* kept,
                       real* loss) {
  real sum = 0;
  for (int i = 0; i < n; i++) {
    const real* p = (infrared[i] ? live_infrared : live_visible) + int64_t{i} * stride;
    const real* q = (infrared[i] ? teacher_visible : teacher_infrared) + int64_t{i} * stride;
    const real lse_p = log_sum_exp(p, k), lse_q = log_sum_exp(q, k);
    real kl = 0;
    for (int j = 0; j < k; j++) {
      const real log_p = p[j] - lse_p;
      kl += std::exp(log_p) * (log_p - (q[j] - lse_q));
    }
    kept[int64_t{i} * 3] = lse_p;
    kept[int64_t{i} * 3 + 1] = lse_q;
    kept[int64_t{i} * 3 + 2] = kl;
    sum += kl;
  }
  *loss = sum / static_cast<real>(n);
}

void mutual_kl_backward(Stream, const real* dloss, const real* live_visible, const real* live_infrared,
                        const real* teacher_visible, const real* teacher_infrared, const uint8_t* infrared, int n,
                        int k, int stride, const real* kept, real* dlive_visible, Write visible_write,
                        real* dlive_infrared, Write infrared_write) {
  const real factor = *dloss / static_cast<real>(n);
  for (int i = 0; i < n; i++) {
    const bool is_infrared = infrared[i] != 0;
    const real* p = (is_infrared ? live_infrared : live_visible) + int64_t{i} * stride;
    const real* q = (is_infrared ? teacher_visible : teacher_infrared) + int64_t{i} * stride;
    const real* row = kept + int64_t{i} * 3;
    const real lse_p = row[0], lse_q = row[1], kl = row[2];
    for (int j = 0; j < stride; j++) {
      const int64_t at = int64_t{i} * stride + j;
      const real log_p = j < k ? p[j] - lse_p : 0;
      const real g = j < k ? factor * std::exp(log_p) * (log_p - (q[j] - lse_q) - kl) : 0;
      put(dlive_visible[at], is_infrared ? 0 : g, visible_write);
      put(dlive_infrared[at], is_infrared ? g : 0, infrared_write);
    }
  }
}

}  // namespace mpanet::PRECISION::cpu
