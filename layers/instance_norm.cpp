#include "layers/layers.h"

namespace mpanet::PRECISION {
namespace {

struct Planes {
  int n, hw, c;
};

Planes planes_of(const Tensor& x) {
  MPANET_CHECK(x.shape().rank() == 4, "expected x (N, H, W, C), got {}", x.shape().str());
  return {x.dim(0), x.dim(1) * x.dim(2), x.dim(3)};
}

}  // namespace

Tensor instance_norm(Context& context, const Tensor& x) {
  const auto [n, hw, c] = planes_of(x);
  const Tensor y(context, x.shape(), context.recording());
  const RealTensor mean(context, {n, c}), rstd(context, {n, c});
  RUN_ON(context,
         instance_norm_statistics(context.stream(), x.data(), n, hw, c, kInstanceNormEps, mean.data(), rstd.data()));
  RUN_ON(context,
         instance_norm_blend(context.stream(), x.data(), n, hw, c, mean.data(), rstd.data(), nullptr, y.data()));
  if (context.recording())
    context.tape().record("instance_norm", [=, n = n, hw = hw, c = c, &context] {
      if (!y.has_grad()) return;
      const RealTensor sum_dy(context, {n, c}), sum_dyn(context, {n, c});
      RUN_ON(context, instance_norm_backward_reduce(context.stream(), y.grad(), x.data(), n, hw, c, mean.data(),
                                                    rstd.data(), sum_dy.data(), sum_dyn.data()));
      const auto [dx, write] = x.grad_sink();
      RUN_ON(context,
             instance_norm_backward_apply(context.stream(), y.grad(), x.data(), n, hw, c, mean.data(), rstd.data(),
                                          nullptr, sum_dy.data(), sum_dyn.data(), nullptr, dx, write));
    });
  return y;
}

// The mean of the statistics is also the average pool of the attention. So x is read twice: for the statistics and for
// the blend.
Tensor modality_alleviation(Context& context, const Tensor& x, Parameter& w1, Parameter& w2) {
  const auto [n, hw, c] = planes_of(x);
  const int h = static_cast<int>(w1.shape[0]);
  MPANET_CHECK(w1.count == int64_t{h} * c && w2.count == int64_t{h} * c, "{}: expected x (N, H, W, {}), got {}",
               w1.name, w1.count / h, x.shape().str());
  const Tensor y(context, x.shape(), context.recording());
  const RealTensor mean(context, {n, c}), rstd(context, {n, c}), hidden(context, {n, h}), mask(context, {n, c});
  RUN_ON(context,
         instance_norm_statistics(context.stream(), x.data(), n, hw, c, kInstanceNormEps, mean.data(), rstd.data()));
  const auto workspace_bytes =
      static_cast<int64_t>(ASK_BACKEND(context, channel_attention_workspace_bytes(context.stream(), n, c, h)));
  {
    const Scratch<> workspace(context, workspace_bytes);
    RUN_ON(context, channel_attention_forward(context.stream(), mean.data(), w1.value, w2.value, n, c, h, hidden.data(),
                                              mask.data(), workspace.data()));
  }
  RUN_ON(context,
         instance_norm_blend(context.stream(), x.data(), n, hw, c, mean.data(), rstd.data(), mask.data(), y.data()));
  if (context.recording())
    context.tape().record("modality_alleviation", [=, n = n, hw = hw, c = c, &context, &w1, &w2] {
      if (!y.has_grad()) return;
      const RealTensor sum_dy(context, {n, c}), sum_dyn(context, {n, c}), dmask(context, {n, c}),
          dpooled(context, {n, c});
      RUN_ON(context, instance_norm_backward_reduce(context.stream(), y.grad(), x.data(), n, hw, c, mean.data(),
                                                    rstd.data(), sum_dy.data(), sum_dyn.data()));
      RUN_ON(context, mam_backward_mask(context.stream(), mask.count(), mean.data(), rstd.data(), sum_dy.data(),
                                        sum_dyn.data(), dmask.data()));
      const Scratch<> workspace(context, workspace_bytes);
      const auto [dw1, dw1_write] = w1.grad_sink();
      const auto [dw2, dw2_write] = w2.grad_sink();
      RUN_ON(context, channel_attention_backward(context.stream(), dmask.data(), mask.data(), hidden.data(),
                                                 mean.data(), w1.value, w2.value, n, c, h, dpooled.data(), dw1,
                                                 dw1_write, dw2, dw2_write, workspace.data()));
      const auto [dx, write] = x.grad_sink();
      RUN_ON(context,
             instance_norm_backward_apply(context.stream(), y.grad(), x.data(), n, hw, c, mean.data(), rstd.data(),
                                          mask.data(), sum_dy.data(), sum_dyn.data(), dpooled.data(), dx, write));
    });
  return y;
}

}  // namespace mpanet::PRECISION
