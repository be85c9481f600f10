#include "losses/losses.h"

namespace mpanet::PRECISION {

RealTensor mutual_kl(Context& context, const Logits& live_visible, const Logits& live_infrared,
                     const Logits& teacher_visible, const Logits& teacher_infrared, const FlagTensor& infrared) {
  const int n = live_visible.n(), k = live_visible.k, stride = live_visible.stride();
  for (const Logits* other : {&live_infrared, &teacher_visible, &teacher_infrared})
    MPANET_CHECK(other->same_shape(live_visible), "expected four times {} x {} logits, got {} x {}", n, k, other->n(),
                 other->k);
  MPANET_CHECK(infrared.shape() == Shape{n}, "expected {} flags of as many logits, got {}", n, infrared.shape().str());
  const RealTensor loss(context, {1}, context.recording()), kept(context, {n, 3});
  RUN_ON(context, mutual_kl_forward(context.stream(), live_visible.rows.data(), live_infrared.rows.data(),
                                    teacher_visible.rows.data(), teacher_infrared.rows.data(), infrared.data(), n, k,
                                    stride, kept.data(), loss.data()));
  if (context.recording())
    context.tape().record("mutual_kl", [=, &context] {
      if (!loss.has_grad()) return;
      const auto [dvisible, visible_write] = live_visible.rows.grad_sink();
      const auto [dinfrared, infrared_write] = live_infrared.rows.grad_sink();
      RUN_ON(context,
             mutual_kl_backward(context.stream(), loss.grad(), live_visible.rows.data(), live_infrared.rows.data(),
                                teacher_visible.rows.data(), teacher_infrared.rows.data(), infrared.data(), n, k,
                                stride, kept.data(), dvisible, visible_write, dinfrared, infrared_write));
    });
  return loss;
}

}  // namespace mpanet::PRECISION
