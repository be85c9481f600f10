#include "layers/batch_norm.h"

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

namespace {

// The statistics that normalise a batch: its own in training, the running ones in eval mode.
struct Statistics {
  RealTensor batch_mean, batch_variance;
  const real *mean, *variance;
};

Statistics find_statistics(Context& context, const Tensor& z, BatchNorm& norm, Mode mode) {
  if (mode == Mode::Eval) return {{}, {}, norm.running_mean.value, norm.running_var.value};
  const int c = norm.channels();
  const int64_t rows = z.count() / c;
  MPANET_CHECK(rows > 1, "{}: training needs more than one value per channel, got {}", norm.weight.name,
               z.shape().str());
  const RealTensor mean(context, {c}), variance(context, {c});
  const Scratch<> workspace(context, static_cast<int64_t>(ASK_BACKEND(context, batch_norm_workspace_bytes(rows, c))));
  RUN_ON(context,
         batch_norm_statistics(context.stream(), z.data(), rows, c, BatchNorm::kMomentum, mean.data(), variance.data(),
                               norm.running_mean.value, norm.running_var.value, workspace.data()));
  return {mean, variance, mean.data(), variance.data()};
}

void add_to_gradient(Context& context, const RealTensor& sum, Parameter& p) {
  if (!p.trainable) return;
  const auto [to, write] = p.grad_sink();
  RUN_ON(context, accumulate(context.stream(), sum.data(), to, sum.count(), write));
}

// Computes the gradients of weight, bias, z (into `dz`, which may be z itself) and the residual from y's gradient. A
// residual without a gradient takes over the memory of y's gradient.
void norm_backward(Context& context, const Tensor& z, const Statistics& statistics, BatchNorm& norm, Mode mode,
                   bool relu, const Tensor& y, const Tensor& residual, storage* dz, Write dz_write) {
  const int c = norm.channels();
  const int64_t rows = z.count() / c;
  const storage* mask = relu ? y.data() : nullptr;
  const RealTensor sum_g(context, {c}), sum_gn(context, {c});
  {
    const Scratch<> workspace(context, static_cast<int64_t>(ASK_BACKEND(context, batch_norm_workspace_bytes(rows, c))));
    RUN_ON(context, batch_norm_backward_reduce(context.stream(), y.grad(), z.data(), mask, rows, c, statistics.mean,
                                               statistics.variance, BatchNorm::kEps, sum_g.data(), sum_gn.data(),
                                               workspace.data()));
  }
  add_to_gradient(context, sum_gn, norm.weight);
  add_to_gradient(context, sum_g, norm.bias);
  const bool wants_residual = residual && residual.needs_grad();
  const bool in_place = wants_residual && !residual.has_grad();
  storage* dresidual = nullptr;
  if (wants_residual) dresidual = in_place ? y.mutable_grad() : residual.mutable_grad();
  const bool training = mode == Mode::Train;
  RUN_ON(context, batch_norm_backward_apply(context.stream(), y.grad(), z.data(), mask, rows, c, statistics.mean,
                                            statistics.variance, BatchNorm::kEps, norm.weight.value,
                                            training ? sum_g.data() : nullptr, training ? sum_gn.data() : nullptr, dz,
                                            dz_write, dresidual, in_place ? Write::Set : Write::Add));
  if (in_place)
    y.give_grad_to(residual);
  else
    y.release_grad();
}

Tensor apply(Context& context, const Tensor& z, const Statistics& statistics, BatchNorm& norm, bool relu,
             const Tensor& residual) {
  MPANET_CHECK(!residual || residual.shape() == z.shape(), "{}: expected a residual {}, got {}", norm.weight.name,
               z.shape().str(), residual.shape().str());
  const int c = norm.channels();
  const Tensor y(context, z.shape(), context.recording());
  RUN_ON(context, batch_norm_apply(context.stream(), z.data(), z.count() / c, c, statistics.mean, statistics.variance,
                                   BatchNorm::kEps, norm.weight.value, norm.bias.value,
                                   residual ? residual.data() : nullptr, relu, y.data()));
  return y;
}

}  // namespace

Tensor batch_norm_2d(Context& context, const Tensor& x, BatchNorm& norm, Mode mode, bool relu, const Tensor& residual) {
  MPANET_CHECK(x.shape().rank() == 4 && x.dim(3) == norm.channels(), "{}: expected x (N, H, W, {}), got {}",
               norm.weight.name, norm.channels(), x.shape().str());
  const Statistics statistics = find_statistics(context, x, norm, mode);
  const Tensor y = apply(context, x, statistics, norm, relu, residual);
  if (context.recording())
    context.tape().record("batch_norm_2d", [=, &context, &norm] {
      if (!y.has_grad()) return;
      const auto [dx, write] = x.grad_sink();
      norm_backward(context, x, statistics, norm, mode, relu, y, residual, dx, write);
    });
  return y;
}

Tensor conv_bn_act(Context& context, const Tensor& x, Conv& conv, BatchNorm& norm, Mode mode, bool relu,
                   const Tensor& residual) {
  const ConvShape s = conv.shape(x);
  const Shape shape{s.n, s.oh(), s.ow(), s.k};
  if (mode == Mode::Eval && !context.recording()) {
    MPANET_CHECK(!residual || residual.shape() == shape, "{}: expected a residual {}, got {}", norm.weight.name,
                 shape.str(), residual.shape().str());
    const Tensor y(context, shape);
    conv.forward(context, x,
                 {norm.folded_scale(context), norm.folded_shift(context), residual ? residual.data() : nullptr, relu},
                 y);
    return y;
  }
  const Tensor z(context, shape);
  conv.forward(context, x, {}, z);
  const Statistics statistics = find_statistics(context, z, norm, mode);
  const Tensor y = apply(context, z, statistics, norm, relu, residual);
  if (context.recording())
    context.tape().record("conv_bn_act", [=, &context, &conv, &norm] {
      if (!y.has_grad()) return;
      // dz overwrites z: element by element, z is read before dz is written.
      norm_backward(context, z, statistics, norm, mode, relu, y, residual, z.data(), Write::Set);
      conv.backward(context, x, z.data());
    });
  return y;
}

}  // namespace mpanet::PRECISION
