#include "losses/losses.h"
#include "tests/ops/loss_inputs.h"

namespace mpanet::PRECISION {
namespace {

OpCase center_loss_case(const Labels& labels, int d, int classes) {
  const auto make = [=](Inputs& in) -> Call {
    Parameter& centers = in.store().add("centers", {classes, d}, true);
    in.fill_parameters();
    const RealTensor f = in.values("f", {static_cast<int64_t>(labels.size()), d}, near_each_other(d));
    const LabelTensor y = in.labels(labels);
    return [=, &centers, &context = in.context()] { return Outputs{{}, {center_loss(context, f, y, centers)}}; };
  };
  const double features = kRealBytes * static_cast<double>(labels.size()) * d;
  return {"center_loss", features_of(labels, d), make, {1.25 * features}, {2.25 * features + kRealBytes * classes * d}};
}

// With one class more than the batch has.
OpCase center_loss_case(const Labels& labels, int d) {
  return center_loss_case(labels, d, *std::max_element(labels.begin(), labels.end()) + 2);
}

Cases checks() {
  Cases cases;
  for (const int d : {1, 7, 67})
    for (const Labels& labels : {Labels{0}, kEven, kUneven, kUnsorted}) cases.push_back(center_loss_case(labels, d));
  cases.push_back(wide(center_loss_case(kUneven, 2048)));
  Labels many_rows;  // of few classes, so that the gradients are not tiny
  for (int i = 0; i < 520; i++) many_rows.push_back(i % 5);
  cases.push_back(wide(center_loss_case(many_rows, 3)));
  return cases;
}

Cases benchmarks(const NetworkSizes& z) { return {center_loss_case(z.labels(), z.features(), z.identities())}; }

const OpRegistration registration("center_loss", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
