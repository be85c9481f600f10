// Cross entropy on logits (n, k), rows `stride` apart: the mean over the selected rows of lse_i - logit_{i, y_i};
//   dlogit = (softmax - onehot) / selected
// lse is the log-sum-exp, computed as max + log sum exp(row - max). Forward: one block per row reads it twice, for the
// maximum and for the sum; the second read hits L1. Then one block adds the rows' losses in a fixed order. Backward:
// one block per row. Bytes: forward reads the logits once from DRAM; backward reads them and writes dlogits. Rows that
// are not selected are only written (zeros), or with Write::Add not accessed.
#include "kernels/cuda/softmax.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

struct Shared {
  real values[kWarp];
  int counts[kWarp];
};

__device__ bool selected(const uint8_t* infrared, int which, int row) {
  return infrared == nullptr || infrared[row] == which;
}

__global__ void __launch_bounds__(kRowThreads, kRowBlocks)
    log_sum_exp_kernel(const real* logits, int k, int stride, real* lse) {
  Shared& s = shared_memory<Shared>();
  const real value = log_sum_exp(logits + int64_t{blockIdx.x} * stride, k, s.values);
  if (threadIdx.x == 0) lse[blockIdx.x] = value;
}

__global__ void __launch_bounds__(kRowThreads, kRowBlocks)
    loss_kernel(const real* logits, const real* lse, const int32_t* labels, const uint8_t* infrared, int which, int n,
                int stride, real* loss) {
  Shared& s = shared_memory<Shared>();
  real sum = 0;
  int count = 0;
  for (int i = threadIdx.x; i < n; i += kRowThreads) {
    if (!selected(infrared, which, i)) continue;
    sum += lse[i] - logits[int64_t{i} * stride + labels[i]];
    count++;
  }
  sum = block_reduce(sum, s.values);
  count = block_reduce(count, s.counts);
  if (threadIdx.x == 0) *loss = count > 0 ? sum / static_cast<real>(count) : real{0};
}

__global__ void __launch_bounds__(kRowThreads, kRowBlocks)
    backward_kernel(const real* dloss, const real* logits, const real* lse, const int32_t* labels,
                    const uint8_t* infrared, int which, int n, int k, int stride, real* dlogits, Write write) {
  Shared& s = shared_memory<Shared>();
  const int row = blockIdx.x;
  const bool use = selected(infrared, which, row);
  if (!use && write == Write::Add) return;
  int count = 0;
  for (int i = threadIdx.x; i < n; i += kRowThreads) count += selected(infrared, which, i);
  count = block_reduce(count, s.counts);
  const real factor = *dloss / static_cast<real>(count);
  for (int j = threadIdx.x; j < stride; j += kRowThreads) {
    const int64_t at = int64_t{row} * stride + j;
    const bool used = use && j < k;
    const real p = used ? exp(logits[at] - lse[row]) - static_cast<real>(j == labels[row]) : real{0};
    put(dlogits[at], used ? factor * p : real{0}, write);
  }
}

}  // namespace

void cross_entropy_forward(Stream stream, const real* logits, const int32_t* labels, const uint8_t* infrared, int which,
                           int n, int k, int stride, real* lse, real* loss) {
  KERNEL_CHECK(n > 0 && k > 0, "a batch of logits");
  LAUNCH(log_sum_exp_kernel, static_cast<unsigned>(n), kRowThreads, sizeof(Shared), stream, logits, k, stride, lse);
  LAUNCH(loss_kernel, 1, kRowThreads, sizeof(Shared), stream, logits, lse, labels, infrared, which, n, stride, loss);
}

void cross_entropy_backward(Stream stream, const real* dloss, const real* logits, const real* lse,
                            const int32_t* labels, const uint8_t* infrared, int which, int n, int k, int stride,
                            real* dlogits, Write write) {
  KERNEL_CHECK(n > 0 && k > 0, "a batch of logits");
  LAUNCH(backward_kernel, static_cast<unsigned>(n), kRowThreads, sizeof(Shared), stream, dloss, logits, lse, labels,
         infrared, which, n, k, stride, dlogits, write);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
