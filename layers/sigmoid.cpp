#include "layers/layers.h"

namespace mpanet::PRECISION {

RealTensor sigmoid(Context& context, const RealTensor& x) {
  const RealTensor y(context, x.shape(), context.recording());
  RUN_ON(context, sigmoid_forward(context.stream(), x.data(), y.data(), x.count()));
  if (context.recording())
    context.tape().record("sigmoid", [=, &context] {
      if (!y.has_grad()) return;
      const auto [dx, write] = x.grad_sink();
      RUN_ON(context, sigmoid_backward(context.stream(), y.grad(), y.data(), dx, x.count(), write));
    });
  return y;
}

}  // namespace mpanet::PRECISION
