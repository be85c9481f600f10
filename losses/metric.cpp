// Losses on the distances between features: center cluster, triplet, center.
#include "losses/losses.h"

namespace mpanet::PRECISION {
namespace {

void check_features(const RealTensor& f, const LabelTensor& labels) {
  CHECK(f.shape().rank() == 2 && labels.shape() == Shape{f.dim(0)}, "expected f (N, D) and labels (N), got {} and {}",
        f.shape().str(), labels.shape().str());
}

Scratch<> metric_workspace(Context& context, int n, int d) {
  return Scratch<>(context, static_cast<int64_t>(ASK_BACKEND(context, metric_workspace_bytes(n, d))));
}

}  // namespace

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

RealTensor center_loss(Context& context, const RealTensor& f, const LabelTensor& labels, Parameter& centers) {
  check_features(f, labels);
  const int n = f.dim(0), d = f.dim(1), k = static_cast<int>(centers.shape[0]);
  CHECK(centers.count == int64_t{k} * d, "{}: expected f (N, {}), got {}", centers.name, centers.count / k,
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
