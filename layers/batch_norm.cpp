#include "layers/batch_norm.h"

#include "layers/norm_passes.h"

namespace mpanet::PRECISION {

BatchNorm::BatchNorm(ParameterStore& store, const std::string& name, int c, TrainedParts trained)
    : weight(store.add(name + ".weight", {c}, trained.weight)),
      bias(store.add(name + ".bias", {c}, trained.bias)),
      running_mean(store.add(name + ".running_mean", {c}, false)),
      running_var(store.add(name + ".running_var", {c}, false)),
      store_(store),
      c_(c) {}

void BatchNorm::fold(Context& context) {
  if (folded_.bytes() == 0) folded_ = Buffer(context, 2 * static_cast<size_t>(c_) * sizeof(real));
  if (version_ == store_.version()) return;
  version_ = store_.version();
  RUN_ON(context, batch_norm_fold(context.stream(), c_, running_mean.value, running_var.value, kEps, weight.value,
                                  bias.value, folded_.as<real>(), folded_.as<real>() + c_));
}

const real* BatchNorm::folded_scale(Context& context) {
  fold(context);
  return folded_.as<real>();
}

const real* BatchNorm::folded_shift(Context& context) {
  fold(context);
  const real* const scale = folded_.as<real>();
  return scale == nullptr ? nullptr : scale + c_;  // a context that plans has no memory, and null + c_ is undefined
}

Tensor batch_norm_2d(Context& context, const Tensor& x, BatchNorm& norm, Mode mode, bool relu, const Tensor& residual) {
  MPANET_CHECK(x.shape().rank() == 4 && x.dim(3) == norm.channels(), "{}: expected x (N, H, W, {}), got {}",
               norm.weight.name, norm.channels(), x.shape().str());
  const NormedTensor input = find_statistics(context, x, norm, mode);
  const NormOutput output = apply_norms(context, input, {}, residual, relu);
  if (context.recording())
    context.tape().record("batch_norm_2d", [=, &context] {
      if (!output.y.has_grad()) return;
      const auto [dx, write] = x.grad_sink();
      norms_backward(context, output, input, dx, write, {}, residual);
    });
  return output.y;
}

Tensor conv_bn_act(Context& context, const Tensor& x, Conv& conv, BatchNorm& norm, Mode mode, bool relu,
                   const Tensor& residual) {
  if (mode == Mode::Eval && !context.recording()) {
    const ConvShape s = conv.shape(x);
    const Shape shape{s.n, s.oh(), s.ow(), s.k};
    MPANET_CHECK(!residual || residual.shape() == shape, "{}: expected a residual {}, got {}", norm.weight.name,
                 shape.str(), residual.shape().str());
    const Tensor y(context, shape);
    conv.forward(context, x,
                 {norm.folded_scale(context), norm.folded_shift(context), residual ? residual.data() : nullptr, relu},
                 y);
    return y;
  }
  const NormedTensor input = conv_statistics(context, x, conv, norm, mode);
  const NormOutput output = apply_norms(context, input, {}, residual, relu);
  if (context.recording()) {
    const bool completes = follows_request(context, x);
    context.tape().record("conv_bn_act", [=, &context, &conv] {
      if (!output.y.has_grad()) return;
      // dz overwrites z: element by element, z is read before dz is written.
      norms_backward(context, output, input, input.z.data(), Write::Set, {}, residual);
      conv.backward(context, x, input.z.data(), completes);
    });
  }
  return output.y;
}

}  // namespace mpanet::PRECISION
