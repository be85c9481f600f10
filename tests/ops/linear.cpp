#include <fmt/format.h>

#include "layers/layers.h"
#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {
namespace {

OpCase linear_case(int n, int d, int k, bool bias) {
  const auto make = [=](Inputs& in) -> Call {
    Parameter& weight = in.store().add("weight", {k, d}, true);
    Parameter* const b = bias ? &in.store().add("bias", {k}, true) : nullptr;
    in.fill_parameters();
    const RealTensor x = in.values("x", {n, d});
    return [=, &weight, &context = in.context()] { return Outputs{{}, {linear(context, x, weight, b)}}; };
  };
  const double x = 1.0 * n * d, w = 1.0 * k * d, y = 1.0 * n * k;
  return with_products(
      {"linear",
       fmt::format("{}x{} to {}{}", n, d, k, bias ? " bias" : ""),
       make,
       {kRealBytes * (x + w + y), 2 * y * d, {}, {{false, true, n, k, d}}},
       {kRealBytes * (y + 2 * x + 2 * w), 4 * y * d, {}, {{true, false, k, d, n}, {false, false, n, d, k}}}},
      1, 0);
}

// Several weights on one x, as the classifiers of a step.
OpCase linear_several_case(int n, int d, int k, int weights) {
  const auto make = [=](Inputs& in) -> Call {
    std::vector<Parameter*> all;
    for (int i = 0; i < weights; i++) all.push_back(&in.store().add(fmt::format("weight {}", i), {k, d}, true));
    in.fill_parameters();
    const RealTensor x = in.values("x", {n, d});
    return [=, &context = in.context()] {
      return Outputs{.activations = {}, .values = {}, .logits = linear_several(context, x, all, {})};
    };
  };
  const double x = 1.0 * n * d, w = 1.0 * weights * k * d, y = 1.0 * weights * n * k;
  return with_products({"linear",
                        fmt::format("{}x{} to {} times {}", n, d, weights, k),
                        make,
                        {kRealBytes * (x + w + y), 2 * y * d},
                        {kRealBytes * (y + 2 * x + 2 * w), 4 * y * d}},
                       1, 0);
}

Cases checks() {
  Cases cases;
  for (const bool bias : {false, true}) {
    cases.push_back(linear_case(1, 1, 1, bias));
    cases.push_back(linear_case(3, 7, 5, bias));
    cases.push_back(linear_case(5, 67, 13, bias));
    cases.push_back(linear_case(1, 19, 37, bias));
  }
  cases.push_back(wide(linear_case(8, 2048, 32, true)));
  cases.push_back(linear_several_case(5, 67, 13, 3));
  cases.push_back(wide(linear_several_case(8, 2048, 32, 2)));
  cases.push_back(wide(linear_several_case(9, 160, 395, 2)));  // rows of logits that packs do not divide
  return cases;
}

Cases benchmarks(const NetworkSizes& z) {
  return {linear_case(z.samples, z.features(), z.identities(), false),
          linear_case(z.samples, z.features(), z.identities(), true),
          linear_several_case(z.samples, z.features(), z.identities(), 3)};
}

const OpRegistration registration("linear", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
