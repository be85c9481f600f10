#include <fmt/format.h>

#include "losses/losses.h"
#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {
namespace {

OpCase separation_case(int n, int hw, int parts) {
  const auto make = [=](Inputs& in) -> Call {
    const RealTensor masks = in.values("masks", {n, hw, parts}, Draw::unit());
    return [=, &context = in.context()] { return Outputs{{}, {separation_loss(context, masks)}}; };
  };
  const double masks = kRealBytes * n * hw * parts;
  return {"separation_loss", fmt::format("{}x{}x{}", n, hw, parts), make, {masks}, {2 * masks}};
}

// More blocks than threads that add their sums: the loop runs twice.
OpCase many_blocks_case() {
  OpCase made = separation_case(3, 11000, 8);
  made.differences = false;
  return made;
}

Cases checks() {
  return {separation_case(1, 1, 2), separation_case(2, 15, 6),        separation_case(3, 7, 8),
          separation_case(5, 2, 3), wide(separation_case(2, 216, 6)), many_blocks_case()};
}

Cases benchmarks(const NetworkSizes& z) { return {separation_case(z.batch, z.pixels(), NetworkSizes::parts)}; }

const OpRegistration registration("separation", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
