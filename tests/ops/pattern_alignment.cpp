// The pattern alignment module.
#include <fmt/format.h>

#include "layers/layers.h"
#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {
namespace {

// Which results have a gradient.
enum class Results { Both, Maps, Features };

OpCase pattern_case(const Shape& shape, int parts, Results results = Results::Both) {
  const auto make = [=](Inputs& in) -> Call {
    Parameter& weight = in.store().add("weight", {parts, shape[3], 1, 1}, true);
    Parameter& bias = in.store().add("bias", {parts}, true);
    in.fill_parameters();
    const Tensor x = in.activation("x", shape);
    return [=, &weight, &bias, &store = in.store(), &context = in.context()] {
      const PatternFeatures made = pattern_alignment(context, store, x, weight, bias);
      if (results == Results::Maps) return Outputs{{}, {made.masks}};
      if (results == Results::Features) return Outputs{{}, {made.f}};
      return Outputs{{}, {made.masks, made.f}};
    };
  };
  const double count = static_cast<double>(shape.count()), c = static_cast<double>(shape[3]);
  const double masks = kRealBytes * parts * count / c, weights = kRealBytes * parts * c;
  const double features = kRealBytes * static_cast<double>(shape[0]) * (parts + 1) * c;
  const char* const only = results == Results::Maps ? ", maps only" : results == Results::Features ? ", f only" : "";
  return {"pattern_alignment",
          fmt::format("{} parts {}{}", text(shape), parts, only),
          make,
          {kStorageBytes * count + masks + weights + features, 2 * count * (2 * parts + 1)},
          {2 * kStorageBytes * count + 2 * masks + 2 * weights + features, 2 * count * (4 * parts + 1)}};
}

// Like the network: another op reads x too, whose gradient is there before this op's backward, and another one reads
// the maps.
OpCase shared_case(const Shape& shape, int parts) {
  const auto make = [=](Inputs& in) -> Call {
    Parameter& weight = in.store().add("weight", {parts, shape[3], 1, 1}, true);
    Parameter& bias = in.store().add("bias", {parts}, true);
    in.fill_parameters();
    const Tensor x = in.activation("x", shape);
    return [=, &weight, &bias, &store = in.store(), &context = in.context()] {
      const PatternFeatures made = pattern_alignment(context, store, x, weight, bias);
      return Outputs{{}, {made.f, sigmoid(context, made.masks), global_mean(context, x)}};
    };
  };
  return rounding({"shared tensor",
                   fmt::format("{} read by pattern_alignment and global_mean, parts {}", text(shape), parts), make},
                  1);
}

Cases checks() {
  Cases cases;
  for (const int parts : {1, 2, 6, 7, 8}) cases.push_back(pattern_case({2, 3, 5, 7}, parts));
  for (const Results only : {Results::Maps, Results::Features}) {
    cases.push_back(pattern_case({2, 3, 3, 5}, 6, only));
    cases.push_back(wide(pattern_case({2, 3, 3, 64}, 6, only)));
  }
  cases.push_back(pattern_case({1, 1, 1, 1}, 1));
  cases.push_back(pattern_case({1, 23, 13, 3}, 5));
  cases.push_back(pattern_case({3, 2, 1, 67}, 7));
  cases.push_back(shared_case({2, 3, 2, 5}, 6));
  cases.push_back(wide(shared_case({2, 3, 3, 64}, 6)));
  // 4096 channels: more than the threads of a block have at once.
  for (const Shape& shape : {Shape{2, 6, 3, 64}, Shape{1, 3, 3, 2048}, Shape{1, 3, 1, 4096}})
    cases.push_back(wide(pattern_case(shape, 6)));
  // Many groups of pixels, the last one incomplete; widths of whole and incomplete warps.
  for (const int c : {64, 67, 72, 192})
    for (const int parts : {3, 5, 7, 8}) cases.push_back(wide(pattern_case({1, 25, 17, c}, parts)));
  cases.push_back(wide(pattern_case({2, 80, 40, 3}, 5)));
  return cases;
}

Cases benchmarks(const NetworkSizes& z) {
  return {pattern_case({z.batch, z.height / 16, z.width / 16, z.channels(2048)}, NetworkSizes::parts)};
}

const OpRegistration registration("pattern_alignment", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
