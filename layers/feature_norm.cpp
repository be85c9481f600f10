#include <utility>

#include "layers/batch_norm.h"

namespace mpanet::PRECISION {

RealTensor batch_norm_1d(Context& context, const RealTensor& f, BatchNorm& norm, Mode mode) {
  MPANET_CHECK(f.shape().rank() == 2 && f.dim(1) == norm.channels(), "{}: expected f (N, {}), got {}", norm.weight.name,
               norm.channels(), f.shape().str());
  const int n = f.dim(0), d = f.dim(1);
  const bool training = mode == Mode::Train;
  MPANET_CHECK(!training || n > 1, "{}: training needs more than one sample", norm.weight.name);
  const RealTensor g(context, f.shape(), context.recording()), mean(context, {d}), rstd(context, {d});
  RUN_ON(context,
         feature_norm_forward(context.stream(), f.data(), n, d, training, BatchNorm::kEps, BatchNorm::kMomentum,
                              norm.weight.value, norm.bias.value, norm.running_mean.value, norm.running_var.value,
                              mean.data(), rstd.data(), g.data()));
  if (context.recording())
    context.tape().record("batch_norm_1d", [=, &context, &norm] {
      if (!g.has_grad()) return;
      const auto [df, write] = f.grad_sink();
      const auto [dweight, dweight_write] = norm.weight.grad_sink();
      const auto [dbias, dbias_write] =
          norm.bias.trainable ? norm.bias.grad_sink() : std::pair<real*, Write>{nullptr, Write::Set};
      RUN_ON(context,
             feature_norm_backward(context.stream(), g.grad(), f.data(), n, d, training, norm.weight.value, mean.data(),
                                   rstd.data(), df, write, dweight, dweight_write, dbias, dbias_write));
    });
  return g;
}

}  // namespace mpanet::PRECISION
