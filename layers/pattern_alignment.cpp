#include "layers/layers.h"

namespace mpanet::PRECISION {
namespace {

// `images` gradients of p, one after another in `memory`, are added: later if p has no gradient yet, else now.
void add_images(Context& context, ParameterStore& store, Parameter& p, int images, const FlagTensor& memory) {
  const auto [gradient, write] = p.grad_sink();
  if (write == Write::Set) return store.add_splits_later(context, p, images, memory);
  store.add_splits(context);
  const SplitSums sums{reinterpret_cast<const real*>(memory.data()), images, gradient, p.count, write};
  RUN_ON(context, add_split_sums(context.stream(), &sums, 1));
}

}  // namespace

PatternFeatures pattern_alignment(Context& context, ParameterStore& store, const Tensor& x, Parameter& weight,
                                  Parameter& bias) {
  const int p = static_cast<int>(bias.count);
  MPANET_CHECK(x.shape().rank() == 4 && weight.count == int64_t{p} * x.dim(3), "{}: expected x (N, H, W, {}), got {}",
               weight.name, weight.count / p, x.shape().str());
  const int n = x.dim(0), hw = x.dim(1) * x.dim(2), c = x.dim(3);
  const RealTensor masks(context, {n, hw, p}, context.recording());
  const RealTensor f(context, {n, int64_t{p + 1} * c}, context.recording());
  RUN_ON(context, pattern_alignment_forward(context.stream(), x.data(), weight.value, bias.value, n, hw, c, p,
                                            masks.data(), f.data()));
  if (context.recording())
    context.tape().record("pattern_alignment", [=, &context, &store, &weight, &bias] {
      if (!f.has_grad() && !masks.has_grad()) return;
      const FlagTensor image_dw(context, {n * weight.count * int64_t{sizeof(real)}});
      const FlagTensor image_db(context, {n * bias.count * int64_t{sizeof(real)}});
      const auto [dx, dx_write] = x.grad_sink();
      RUN_ON(context,
             pattern_alignment_backward(context.stream(), f.has_grad() ? f.grad() : nullptr,
                                        masks.has_grad() ? masks.grad() : nullptr, x.data(), masks.data(), weight.value,
                                        n, hw, c, p, dx, dx_write, reinterpret_cast<real*>(image_dw.data()),
                                        reinterpret_cast<real*>(image_db.data())));
      add_images(context, store, weight, n, image_dw);
      add_images(context, store, bias, n, image_db);
    });
  return {f, masks};
}

}  // namespace mpanet::PRECISION
