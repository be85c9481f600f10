#include <fmt/format.h>

#include "losses/losses.h"
#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {
namespace {

// `again`: the first term is repeated at the end.
OpCase weighted_sum_case(int terms, bool again) {
  const auto make = [=](Inputs& in) -> Call {
    std::vector<WeightedTerm> list;
    for (int i = 0; i < terms; i++) list.push_back({in.values(fmt::format("term {}", i), {1}), 0.5 * i - 1.25});
    if (again) list.push_back({list[0].value, 3});
    return [=, &context = in.context()] { return Outputs{{}, {weighted_sum(context, list)}}; };
  };
  const OpCost cost{kRealBytes * (terms + 1)};
  return {"weighted_sum", fmt::format("{} terms{}", terms, again ? ", one twice" : ""), make, cost, cost};
}

Cases checks() { return {weighted_sum_case(1, false), weighted_sum_case(3, true), weighted_sum_case(8, false)}; }

Cases benchmarks(const NetworkSizes&) { return {weighted_sum_case(8, false)}; }

const OpRegistration registration("weighted_sum", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
