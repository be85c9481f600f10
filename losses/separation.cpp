#include "losses/losses.h"

namespace mpanet::PRECISION {

RealTensor separation_loss(Context& context, const RealTensor& masks) {
  MPANET_CHECK(masks.shape().rank() == 3 && masks.dim(2) >= 2, "expected masks (N, HW, P) with P of 2 or more, got {}",
               masks.shape().str());
  const int n = masks.dim(0), hw = masks.dim(1), p = masks.dim(2);
  const RealTensor loss(context, {1}, context.recording());
  const Scratch<> workspace(context, static_cast<int64_t>(ASK_BACKEND(context, separation_workspace_bytes(n, hw, p))));
  RUN_ON(context, separation_forward(context.stream(), masks.data(), n, hw, p, loss.data(), workspace.data()));
  if (context.recording())
    context.tape().record("separation_loss", [=, &context] {
      if (!loss.has_grad()) return;
      const auto [dmasks, write] = masks.grad_sink();
      RUN_ON(context, separation_backward(context.stream(), loss.grad(), masks.data(), n, hw, p, dmasks, write));
    });
  return loss;
}

}  // namespace mpanet::PRECISION
