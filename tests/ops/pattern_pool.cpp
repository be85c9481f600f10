// The pooling of the pattern alignment module.
#include <fmt/format.h>

#include "layers/layers.h"
#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {
namespace {

OpCase pattern_pool_case(const Shape& shape, int parts) {
  const auto make = [=](Inputs& in) -> Call {
    const Tensor x = in.activation("x", shape);
    const RealTensor masks =
        parts > 0 ? in.values("masks", {shape[0], shape[1] * shape[2], parts}, Draw::unit()) : RealTensor();
    return [=, &context = in.context()] { return Outputs{{}, {pattern_pool(context, x, masks)}}; };
  };
  const double count = static_cast<double>(shape.count()), c = static_cast<double>(shape[3]);
  const double masks = kRealBytes * parts * count / c;
  const double features = kRealBytes * static_cast<double>(shape[0]) * (parts + 1) * c;
  return {"pattern_pool",
          fmt::format("{} parts {}", text(shape), parts),
          make,
          {kStorageBytes * count + masks + features, 2 * count * (parts + 1)},
          {2 * kStorageBytes * count + 2 * masks + features, 4 * count * (parts + 1)}};
}

Cases checks() {
  Cases cases;
  for (const int parts : {1, 2, 6, 8}) cases.push_back(pattern_pool_case({2, 3, 5, 7}, parts));
  cases.push_back(pattern_pool_case({1, 1, 1, 1}, 1));
  cases.push_back(pattern_pool_case({3, 2, 1, 67}, 7));
  cases.push_back(pattern_pool_case({2, 5, 3, 11}, 0));
  // 4096 channels: two strips of them in 16 bits too.
  for (const Shape& shape : {Shape{2, 6, 3, 64}, Shape{1, 3, 2, 2048}, Shape{1, 3, 1, 4096}})
    cases.push_back(wide(pattern_pool_case(shape, 6)));
  // More pixels than are staged at a time.
  for (const int c : {64, 67})
    for (const int parts : {3, 5}) cases.push_back(wide(pattern_pool_case({1, 25, 17, c}, parts)));
  cases.push_back(wide(pattern_pool_case({2, 80, 40, 3}, 5)));
  return cases;
}

Cases benchmarks(const NetworkSizes& z) {
  return {pattern_pool_case({z.batch, z.height / 16, z.width / 16, z.channels(2048)}, NetworkSizes::parts)};
}

const OpRegistration registration("pattern_pool", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
