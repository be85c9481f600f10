// The finite check of gradients.
#include "kernels/kernels.h"
#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {
namespace {

OpCase check_finite_case(int64_t count) {
  const auto make = [=](Inputs& in) -> Call {
    const RealTensor x = in.values("", {count}, {}, false);
    return [=, &context = in.context()] {
      const LabelTensor finite(context, {1});
      finite.from_host({1});
      RUN_ON(context, check_finite(context.stream(), x.data(), count, finite.data()));
      return Outputs{{}, {}, {finite}};
    };
  };
  return without_backward({"check_finite", std::to_string(count), make, {kRealBytes * static_cast<double>(count)}});
}

Cases checks() {
  Cases cases;
  for (const int64_t count : {1, 3, 67, 1003, 5000}) cases.push_back(check_finite_case(count));
  return cases;
}

Cases benchmarks(const NetworkSizes& z) { return {check_finite_case(z.parameters())}; }

const OpRegistration registration("tools", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
