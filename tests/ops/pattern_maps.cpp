// The maps of the pattern alignment module, alone and together with the pooling that reads the same x.
#include <fmt/format.h>

#include "layers/layers.h"
#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {
namespace {

OpCase pattern_maps_case(const Shape& shape, int parts) {
  const auto make = [=](Inputs& in) -> Call {
    Parameter& weight = in.store().add("weight", {parts, shape[3], 1, 1}, true);
    Parameter& bias = in.store().add("bias", {parts}, true);
    in.fill_parameters();
    const Tensor x = in.activation("x", shape);
    return [=, &weight, &bias, &context = in.context()] {
      return Outputs{{}, {pattern_maps(context, x, weight, bias)}};
    };
  };
  const double count = static_cast<double>(shape.count()), c = static_cast<double>(shape[3]);
  const double masks = kRealBytes * parts * count / c, weights = kRealBytes * parts * c;
  return {"pattern_maps",
          fmt::format("{} parts {}", text(shape), parts),
          make,
          {kStorageBytes * count + masks + weights, 2 * count * parts},
          {2 * kStorageBytes * count + 2 * masks + 2 * weights, 4 * count * parts}};
}

// Like the network: the maps and the pooling read the same x, and a second op reads the maps.
OpCase pattern_alignment_case(const Shape& shape, int parts) {
  const auto make = [=](Inputs& in) -> Call {
    Parameter& weight = in.store().add("weight", {parts, shape[3], 1, 1}, true);
    Parameter& bias = in.store().add("bias", {parts}, true);
    in.fill_parameters();
    const Tensor x = in.activation("x", shape);
    return [=, &weight, &bias, &context = in.context()] {
      const RealTensor masks = pattern_maps(context, x, weight, bias);
      return Outputs{{}, {pattern_pool(context, x, masks), sigmoid(context, masks)}};
    };
  };
  return rounding(
      {"shared tensor", fmt::format("{} read by pattern_maps and pattern_pool, parts {}", text(shape), parts), make},
      1);
}

Cases checks() {
  Cases cases;
  for (const int parts : {1, 2, 6, 8}) cases.push_back(pattern_maps_case({2, 3, 5, 7}, parts));
  cases.push_back(pattern_maps_case({1, 1, 1, 1}, 1));
  cases.push_back(pattern_maps_case({1, 23, 13, 3}, 5));  // more rows than one tile of the weight's gradient
  cases.push_back(pattern_maps_case({3, 2, 1, 67}, 7));
  cases.push_back(pattern_alignment_case({2, 3, 2, 5}, 6));
  // 4096 channels: two strips of them in 16 bits too.
  for (const Shape& shape : {Shape{2, 6, 3, 64}, Shape{1, 3, 2, 2048}, Shape{1, 3, 1, 4096}})
    cases.push_back(wide(pattern_maps_case(shape, 6)));
  // Enough rows for loops over several rows at once, and more chunks of rows than warps that add them.
  for (const int c : {64, 67})
    for (const int parts : {3, 5}) cases.push_back(wide(pattern_maps_case({1, 25, 17, c}, parts)));
  cases.push_back(wide(pattern_maps_case({1, 80, 80, 3}, 5)));
  return cases;
}

Cases benchmarks(const NetworkSizes& z) {
  return {pattern_maps_case({z.batch, z.height / 16, z.width / 16, z.channels(2048)}, NetworkSizes::parts)};
}

const OpRegistration registration("pattern_maps", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
