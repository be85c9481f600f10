#include "losses/features.h"
#include "losses/losses.h"

namespace mpanet::PRECISION {

RealTensor center_loss(Context& context, const RealTensor& f, const LabelTensor& labels, Parameter& centers) {
  check_features(f, labels);
  const int n = f.dim(0), d = f.dim(1), k = static_cast<int>(centers.shape[0]);
  MPANET_CHECK(centers.count == int64_t{k} * d, "{}: expected f (N, {}), got {}", centers.name, centers.count / k,
               f.shape().str());
  const RealTensor loss(context, {1}, context.recording());
  const Scratch<> workspace = metric_workspace(context, n, d);
  RUN_ON(context, center_loss_forward(context.stream(), f.data(), centers.value, labels.data(), n, d, k, loss.data(),
                                      workspace.data()));
  if (context.recording())
    context.tape().record("center_loss", [=, &context, &centers] {
      if (!loss.has_grad()) return;
      const auto [df, df_write] = f.grad_sink();
      const auto [dcenters, dcenters_write] = centers.grad_sink();
      RUN_ON(context, center_loss_backward(context.stream(), loss.grad(), f.data(), centers.value, labels.data(), n, d,
                                           k, df, df_write, dcenters, dcenters_write));
    });
  return loss;
}

}  // namespace mpanet::PRECISION
