#include "losses/features.h"
#include "losses/losses.h"

namespace mpanet::PRECISION {

RealTensor center_cluster_loss(Context& context, const RealTensor& f, const LabelTensor& labels, double margin) {
  check_features(f, labels);
  const int n = f.dim(0), d = f.dim(1);
  const real m = static_cast<real>(margin);
  const RealTensor loss(context, {1}, context.recording());
  const LabelTensor group(context, {n}), size(context, {n});
  const RealTensor centers(context, {n, d}), pull(context, {n}), gap(context, {n, n});
  const Scratch<> workspace = metric_workspace(context, n, d);
  RUN_ON(context, center_cluster_forward(context.stream(), f.data(), labels.data(), n, d, m, group.data(), size.data(),
                                         centers.data(), pull.data(), gap.data(), loss.data(), workspace.data()));
  if (context.recording())
    context.tape().record("center_cluster_loss", [=, &context] {
      if (!loss.has_grad()) return;
      const auto [df, write] = f.grad_sink();
      RUN_ON(context,
             center_cluster_backward(context.stream(), loss.grad(), f.data(), n, d, m, group.data(), size.data(),
                                     centers.data(), pull.data(), gap.data(), Rows{0, n}, df, write));
    });
  return loss;
}

}  // namespace mpanet::PRECISION
