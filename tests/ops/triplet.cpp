#include "losses/losses.h"
#include "tests/ops/loss_inputs.h"

namespace mpanet::PRECISION {
namespace {

OpCase triplet_case(const Labels& labels, int d, double margin) {
  const auto make = [=](Inputs& in) -> Call {
    const RealTensor f = in.values("f", {static_cast<int64_t>(labels.size()), d}, near_each_other(d));
    const LabelTensor y = in.labels(labels);
    return [=, &context = in.context()] { return Outputs{{}, {triplet_loss(context, f, y, margin)}}; };
  };
  const double features = kRealBytes * static_cast<double>(labels.size()) * d;
  return {
      "triplet_loss", fmt::format("{} margin {}", features_of(labels, d), margin), make, {features}, {2 * features}};
}

Cases checks() {
  Cases cases;
  for (const int d : {1, 3, 67})
    for (const double margin : {0.7, 1.5})
      for (const Labels& labels : {kEven, kUneven, kUnsorted}) cases.push_back(triplet_case(labels, d, margin));
  cases.push_back(triplet_case(kSingles, 5, 2));
  cases.push_back(wide(triplet_case(kUnsorted, 2048, 1.5)));
  cases.push_back(wide(triplet_case(many_labels(), 3, 1.5)));
  return cases;
}

Cases benchmarks(const NetworkSizes& z) { return {triplet_case(z.labels(), z.features(), 0.2)}; }

const OpRegistration registration("triplet", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
