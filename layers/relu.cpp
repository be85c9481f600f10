#include "layers/layers.h"

namespace mpanet::PRECISION {

Tensor relu(Context& context, const Tensor& x) {
  const Tensor y(context, x.shape(), context.recording());
  RUN_ON(context, relu_forward(context.stream(), x.data(), y.data(), x.count()));
  if (context.recording())
    context.tape().record("relu", [=, &context] {
      if (!y.has_grad()) return;
      const auto [dx, write] = x.grad_sink();
      RUN_ON(context, relu_backward(context.stream(), y.grad(), y.data(), dx, x.count(), write));
    });
  return y;
}

}  // namespace mpanet::PRECISION
