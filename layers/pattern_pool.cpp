#include <utility>

#include "layers/layers.h"

namespace mpanet::PRECISION {

RealTensor pattern_pool(Context& context, const Tensor& x, const RealTensor& masks) {
  MPANET_CHECK(x.shape().rank() == 4, "expected x (N, H, W, C), got {}", x.shape().str());
  const int n = x.dim(0), hw = x.dim(1) * x.dim(2), c = x.dim(3), p = masks ? masks.dim(2) : 0;
  MPANET_CHECK(!masks || (masks.shape() == Shape{n, hw, p} && p <= 8), "expected masks ({}, {}, up to 8), got {}", n,
               hw, masks.shape().str());
  const RealTensor f(context, {n, int64_t{p + 1} * c}, context.recording());
  const real* maps = masks ? masks.data() : nullptr;
  RUN_ON(context, pattern_pool_forward(context.stream(), x.data(), maps, n, hw, c, p, f.data()));
  if (context.recording())
    context.tape().record("pattern_pool", [=, &context] {
      if (!f.has_grad()) return;
      const auto [dx, dx_write] = x.grad_sink();
      const auto [dmasks, dmasks_write] = masks ? masks.grad_sink() : std::pair<real*, Write>{nullptr, Write::Set};
      RUN_ON(context, pattern_pool_backward(context.stream(), f.grad(), x.data(), maps, n, hw, c, p, dx, dx_write,
                                            dmasks, dmasks_write));
    });
  return f;
}

}  // namespace mpanet::PRECISION
