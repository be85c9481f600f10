#include "losses/losses.h"

namespace mpanet::PRECISION {
namespace {

RealTensor cross_entropy_where(Context& context, const RealTensor& logits, const LabelTensor& labels,
                               const FlagTensor& infrared, int which) {
  MPANET_CHECK(logits.shape().rank() == 2 && labels.shape() == Shape{logits.dim(0)},
               "expected logits (N, K) and labels (N), got {} and {}", logits.shape().str(), labels.shape().str());
  const int n = logits.dim(0), k = logits.dim(1);
  const RealTensor loss(context, {1}, context.recording()), lse(context, {n});
  const uint8_t* flags = infrared ? infrared.data() : nullptr;
  RUN_ON(context, cross_entropy_forward(context.stream(), logits.data(), labels.data(), flags, which, n, k, lse.data(),
                                        loss.data()));
  if (context.recording())
    context.tape().record("cross_entropy", [=, &context] {
      if (!loss.has_grad()) return;
      const auto [dlogits, write] = logits.grad_sink();
      RUN_ON(context, cross_entropy_backward(context.stream(), loss.grad(), logits.data(), lse.data(), labels.data(),
                                             infrared ? infrared.data() : nullptr, which, n, k, dlogits, write));
    });
  return loss;
}

}  // namespace

RealTensor cross_entropy(Context& context, const RealTensor& logits, const LabelTensor& labels) {
  return cross_entropy_where(context, logits, labels, {}, 0);
}

RealTensor cross_entropy_of(Context& context, const RealTensor& logits, const LabelTensor& labels,
                            const FlagTensor& infrared, int which) {
  return cross_entropy_where(context, logits, labels, infrared, which);
}

}  // namespace mpanet::PRECISION
