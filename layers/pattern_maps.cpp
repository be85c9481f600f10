#include "layers/layers.h"

namespace mpanet::PRECISION {

RealTensor pattern_maps(Context& context, const Tensor& x, Parameter& weight, Parameter& bias) {
  const int p = static_cast<int>(bias.count);
  MPANET_CHECK(x.shape().rank() == 4 && weight.count == int64_t{p} * x.dim(3), "{}: expected x (N, H, W, {}), got {}",
               weight.name, weight.count / p, x.shape().str());
  const int n = x.dim(0), hw = x.dim(1) * x.dim(2), c = x.dim(3);
  const int64_t rows = int64_t{n} * hw;
  const RealTensor masks(context, {n, hw, p}, context.recording());
  RUN_ON(context, pattern_maps_forward(context.stream(), x.data(), weight.value, bias.value, rows, c, p, masks.data()));
  if (context.recording())
    context.tape().record("pattern_maps", [=, &context, &weight, &bias] {
      if (!masks.has_grad()) return;
      const Scratch<> workspace(context,
                                static_cast<int64_t>(ASK_BACKEND(context, pattern_maps_workspace_bytes(rows, c, p))));
      const auto [dx, dx_write] = x.grad_sink();
      const auto [dw, dw_write] = weight.grad_sink();
      const auto [db, db_write] = bias.grad_sink();
      RUN_ON(context, pattern_maps_backward(context.stream(), masks.grad(), masks.data(), x.data(), weight.value, rows,
                                            c, p, dx, dx_write, dw, dw_write, db, db_write, workspace.data()));
    });
  return masks;
}

}  // namespace mpanet::PRECISION
