// Cross entropy on logits (n, k), over the selected rows (docs/method.md, section 2):
//   mean of lse_i - logit_{i, y_i};  dlogit = (softmax - onehot) / selected
#include <cmath>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/softmax.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {
namespace {

bool selected(const uint8_t* infrared, int which, int i) { return infrared == nullptr || infrared[i] == which; }

int count_selected(const uint8_t* infrared, int which, int n) {
  int count = 0;
  for (int i = 0; i < n; i++) count += selected(infrared, which, i);
  return count;
}

}  // namespace

void cross_entropy_forward(Stream, const real* logits, const int32_t* labels, const uint8_t* infrared, int which, int n,
                           int k, int stride, real* lse, real* loss) {
  real sum = 0;
  for (int i = 0; i < n; i++) {
    lse[i] = log_sum_exp(logits + int64_t{i} * stride, k);
    if (selected(infrared, which, i)) sum += lse[i] - logits[int64_t{i} * stride + labels[i]];
  }
  const int count = count_selected(infrared, which, n);
  *loss = count > 0 ? sum / static_cast<real>(count) : 0;
}

void cross_entropy_backward(Stream, const real* dloss, const real* logits, const real* lse, const int32_t* labels,
                            const uint8_t* infrared, int which, int n, int k, int stride, real* dlogits, Write write) {
  const int count = count_selected(infrared, which, n);
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < stride; j++) {
      const int64_t at = int64_t{i} * stride + j;
      const bool use = j < k && selected(infrared, which, i);
      const real p = use ? std::exp(logits[at] - lse[i]) - (j == labels[i] ? 1 : 0) : 0;
      put(dlogits[at], use ? *dloss * p / static_cast<real>(count) : 0, write);
    }
  }
}

}  // namespace mpanet::PRECISION::cpu
