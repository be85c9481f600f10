// Distances between embeddings and their ranking.
#include <fmt/format.h>

#include "kernels/kernels.h"
#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {
namespace {

OpCase squared_distances_case(int64_t queries, int64_t gallery) {
  const auto make = [=](Inputs& in) -> Call {
    const RealTensor q = in.values("", {queries}, Draw::unit(), false),
                     g = in.values("", {gallery}, Draw::unit(), false),
                     distance = in.values("", {queries, gallery}, {}, false);
    return [=, &context = in.context()] {
      RUN_ON(context, squared_distances(context.stream(), q.data(), g.data(), queries, gallery, distance.data()));
      return Outputs{{}, {distance}};
    };
  };
  OpCase made = without_backward({"squared_distances",
                                  fmt::format("{}x{}", queries, gallery),
                                  make,
                                  {2 * kRealBytes * static_cast<double>(queries * gallery)}});
  made.tolerance_factor = 4;  // differences of numbers of similar size
  return made;
}

OpCase rank_case(int64_t queries, int64_t gallery) {
  const auto make = [=](Inputs& in) -> Call {
    const RealTensor distance = in.values("", {queries, gallery}, Draw::distinct(), false);
    return [=, &context = in.context()] {
      const LabelTensor order(context, {queries, gallery});
      const Scratch<> workspace(context,
                                static_cast<int64_t>(ASK_BACKEND(context, rank_workspace_bytes(queries, gallery))));
      RUN_ON(context, rank(context.stream(), distance.data(), queries, gallery, order.data(), workspace.data()));
      return Outputs{{}, {}, {order}};
    };
  };
  return without_backward({"rank",
                           fmt::format("{}x{}", queries, gallery),
                           make,
                           {(kRealBytes + sizeof(int32_t)) * static_cast<double>(queries * gallery)}});
}

Cases checks() {
  Cases cases;
  for (const auto& [queries, gallery] : {std::pair{1, 1}, {3, 7}, {5, 67}, {2, 2050}}) {
    cases.push_back(squared_distances_case(queries, gallery));
    cases.push_back(rank_case(queries, gallery));
  }
  return cases;
}

Cases benchmarks(const NetworkSizes& z) {
  return {squared_distances_case(z.queries(), z.gallery()), rank_case(z.queries(), z.gallery())};
}

const OpRegistration registration("evaluation", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
