#include "losses/features.h"
#include "losses/losses.h"

namespace mpanet::PRECISION {

RealTensor triplet_loss(Context& context, const RealTensor& f, const LabelTensor& labels, double margin) {
  check_features(f, labels);
  const int n = f.dim(0), d = f.dim(1);
  const real m = static_cast<real>(margin);
  const RealTensor loss(context, {1}, context.recording()), distance(context, {n, n});
  const LabelTensor hardest(context, {n, 2});
  const Scratch<> workspace = metric_workspace(context, n, d);
  RUN_ON(context, triplet_forward(context.stream(), f.data(), labels.data(), n, d, m, distance.data(), hardest.data(),
                                  loss.data(), workspace.data()));
  if (context.recording())
    context.tape().record("triplet_loss", [=, &context] {
      if (!loss.has_grad()) return;
      const auto [df, write] = f.grad_sink();
      RUN_ON(context, triplet_backward(context.stream(), loss.grad(), f.data(), n, d, m, distance.data(),
                                       hardest.data(), Rows{0, n}, df, write));
    });
  return loss;
}

}  // namespace mpanet::PRECISION
