#include "losses/losses.h"

namespace mpanet::PRECISION {
namespace {

RealTensor cross_entropy_where(Context& context, const Logits& logits, const LabelTensor& labels,
                               const FlagTensor& infrared, int which) {
  MPANET_CHECK(labels.shape() == Shape{logits.n()}, "expected {} labels of as many logits, got {}", logits.n(),
               labels.shape().str());
  const int n = logits.n(), k = logits.k, stride = logits.stride();
  const RealTensor loss(context, {1}, context.recording()), lse(context, {n});
  const uint8_t* flags = infrared ? infrared.data() : nullptr;
  RUN_ON(context, cross_entropy_forward(context.stream(), logits.rows.data(), labels.data(), flags, which, n, k, stride,
                                        lse.data(), loss.data()));
  if (context.recording())
    context.tape().record("cross_entropy", [=, &context] {
      if (!loss.has_grad()) return;
      const auto [dlogits, write] = logits.rows.grad_sink();
      RUN_ON(context,
             cross_entropy_backward(context.stream(), loss.grad(), logits.rows.data(), lse.data(), labels.data(),
                                    infrared ? infrared.data() : nullptr, which, n, k, stride, dlogits, write));
    });
  return loss;
}

}  // namespace

RealTensor cross_entropy(Context& context, const Logits& logits, const LabelTensor& labels) {
  return cross_entropy_where(context, logits, labels, {}, 0);
}

RealTensor cross_entropy_of(Context& context, const Logits& logits, const LabelTensor& labels,
                            const FlagTensor& infrared, int which) {
  return cross_entropy_where(context, logits, labels, infrared, which);
}

}  // namespace mpanet::PRECISION
