#include "losses/losses.h"
#include "tests/ops/loss_inputs.h"

namespace mpanet::PRECISION {
namespace {

OpCase center_cluster_case(const Labels& labels, int d, double margin) {
  const auto make = [=](Inputs& in) -> Call {
    const RealTensor f = in.values("f", {static_cast<int64_t>(labels.size()), d}, near_each_other(d));
    const LabelTensor y = in.labels(labels);
    return [=, &context = in.context()] { return Outputs{{}, {center_cluster_loss(context, f, y, margin)}}; };
  };
  const double features = kRealBytes * static_cast<double>(labels.size()) * d;
  return {"center_cluster_loss",
          fmt::format("{} margin {}", features_of(labels, d), margin),
          make,
          {1.25 * features},  // four samples an identity: the centers are a quarter
          {2.25 * features}};
}

Cases checks() {
  Cases cases;
  for (const int d : {1, 3, 67})
    for (const double margin : {0.7, 1.5})
      for (const Labels& labels : {kEven, kUneven, kUnsorted}) cases.push_back(center_cluster_case(labels, d, margin));
  cases.push_back(center_cluster_case({7, 7, 7}, 5, 0.7));         // one identity: no push
  cases.push_back(center_cluster_case(kSingles, 5, 2));            // one sample each: no pull
  cases.push_back(wide(center_cluster_case(kUneven, 4352, 1.5)));  // 17 splits of columns and more
  cases.push_back(wide(center_cluster_case(many_labels(), 3, 1.5)));
  return cases;
}

Cases benchmarks(const NetworkSizes& z) { return {center_cluster_case(z.labels(), z.features(), 0.2)}; }

const OpRegistration registration("center_cluster", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
