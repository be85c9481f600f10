#include "layers/layers.h"

namespace mpanet::PRECISION {

Tensor max_pool(Context& context, const Tensor& x, int size, int stride, int pad) {
  MPANET_CHECK(x.shape().rank() == 4, "expected x (N, H, W, C), got {}", x.shape().str());
  const PoolShape s{x.dim(0), x.dim(1), x.dim(2), x.dim(3), size, stride, pad};
  MPANET_CHECK(s.h + 2 * pad >= size && s.w + 2 * pad >= size && 2 * pad <= size,
               "{} and windows of {} with padding {}", x.shape().str(), size, pad);
  const Tensor y(context, {s.n, s.oh(), s.ow(), s.c}, context.recording());
  const FlagTensor winner(context, y.shape());
  RUN_ON(context, max_pool_forward(context.stream(), s, x.data(), y.data(), winner.data()));
  if (context.recording())
    context.tape().record("max_pool", [=, &context] {
      if (!y.has_grad()) return;
      const auto [dx, write] = x.grad_sink();
      RUN_ON(context, max_pool_backward(context.stream(), s, y.grad(), winner.data(), dx, write));
    });
  return y;
}

RealTensor global_mean(Context& context, const Tensor& x) {
  MPANET_CHECK(x.shape().rank() == 4, "expected x (N, H, W, C), got {}", x.shape().str());
  const int n = x.dim(0), hw = x.dim(1) * x.dim(2), c = x.dim(3);
  const RealTensor y(context, {n, c}, context.recording());
  RUN_ON(context, mean_pool_forward(context.stream(), x.data(), n, hw, c, y.data()));
  if (context.recording())
    context.tape().record("global_mean", [=, &context] {
      if (!y.has_grad()) return;
      const auto [dx, write] = x.grad_sink();
      RUN_ON(context, mean_pool_backward(context.stream(), y.grad(), n, hw, c, dx, write));
    });
  return y;
}

}  // namespace mpanet::PRECISION
