#include "losses/losses.h"

namespace mpanet::PRECISION {

RealTensor mutual_kl(Context& context, const RealTensor& live_visible, const RealTensor& live_infrared,
                     const RealTensor& teacher_visible, const RealTensor& teacher_infrared,
                     const FlagTensor& infrared) {
  const Shape& shape = live_visible.shape();
  MPANET_CHECK(shape.rank() == 2 && live_infrared.shape() == shape && teacher_visible.shape() == shape &&
                   teacher_infrared.shape() == shape && infrared.shape() == Shape{shape[0]},
               "expected four logits (N, K) and infrared (N), got {}, {}, {}, {} and {}", shape.str(),
               live_infrared.shape().str(), teacher_visible.shape().str(), teacher_infrared.shape().str(),
               infrared.shape().str());
  const int n = live_visible.dim(0), k = live_visible.dim(1);
  const RealTensor loss(context, {1}, context.recording()), kept(context, {n, 3});
  RUN_ON(context, mutual_kl_forward(context.stream(), live_visible.data(), live_infrared.data(), teacher_visible.data(),
                                    teacher_infrared.data(), infrared.data(), n, k, kept.data(), loss.data()));
  if (context.recording())
    context.tape().record("mutual_kl", [=, &context] {
      if (!loss.has_grad()) return;
      const auto [dvisible, visible_write] = live_visible.grad_sink();
      const auto [dinfrared, infrared_write] = live_infrared.grad_sink();
      RUN_ON(context, mutual_kl_backward(context.stream(), loss.grad(), live_visible.data(), live_infrared.data(),
                                         teacher_visible.data(), teacher_infrared.data(), infrared.data(), n, k,
                                         kept.data(), dvisible, visible_write, dinfrared, infrared_write));
    });
  return loss;
}

}  // namespace mpanet::PRECISION
