// Cases: instance norm, the modality alleviation module, the pattern alignment module.
#include <fmt/format.h>

#include "layers/layers.h"
#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {
namespace {

OpCase instance_norm_case(const Shape& shape) {
  const auto make = [=](Inputs& in) -> Call {
    const Tensor x = in.activation("x", shape, Draw::normal(2, 0.5));
    return [=, &context = in.context()] { return Outputs{{instance_norm(context, x)}, {}}; };
  };
  return {"instance_norm", text(shape), make};
}

OpCase modality_alleviation_case(const Shape& shape, int hidden) {
  const auto make = [=](Inputs& in) -> Call {
    const int64_t c = shape[3];
    Parameter& w1 = in.store().add("w1", {hidden, c, 1, 1}, true);
    Parameter& w2 = in.store().add("w2", {c, hidden, 1, 1}, true);
    in.fill_parameters();
    const Tensor x = in.activation("x", shape, Draw::normal(2, 0.5));
    return [=, &w1, &w2, &context = in.context()] { return Outputs{{modality_alleviation(context, x, w1, w2)}, {}}; };
  };
  OpCase made{"modality_alleviation", fmt::format("{} hidden {}", text(shape), hidden), make};
  // The norm of a single pixel lets no gradient through: 0 as a difference, times 1 / sqrt(eps) = 316.
  if (shape[1] * shape[2] == 1) made.harder = 16;
  return made;
}

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
  return {"pattern_maps", fmt::format("{} parts {}", text(shape), parts), make,
          2.0 * static_cast<double>(shape.count()) * parts};
}

OpCase pattern_pool_case(const Shape& shape, int parts) {
  const auto make = [=](Inputs& in) -> Call {
    const Tensor x = in.activation("x", shape);
    const RealTensor masks =
        parts > 0 ? in.values("masks", {shape[0], shape[1] * shape[2], parts}, Draw::unit()) : RealTensor();
    return [=, &context = in.context()] { return Outputs{{}, {pattern_pool(context, x, masks)}}; };
  };
  return {"pattern_pool", fmt::format("{} parts {}", text(shape), parts), make,
          2.0 * static_cast<double>(shape.count()) * (parts + 1)};
}

// As the network has it: the maps and the pooling read the same x, and the maps have a second reader.
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

}  // namespace

void add_module_cases(std::vector<OpCase>& cases) {
  for (const Shape& shape : {Shape{1, 3, 1, 1}, Shape{2, 3, 5, 7}, Shape{3, 7, 2, 67}, Shape{2, 2, 2, 130}})
    cases.push_back(instance_norm_case(shape));
  cases.push_back(modality_alleviation_case({2, 3, 5, 7}, 3));
  cases.push_back(modality_alleviation_case({1, 2, 2, 67}, 5));
  cases.push_back(modality_alleviation_case({3, 5, 1, 16}, 2));
  cases.push_back(modality_alleviation_case({5, 1, 1, 32}, 2));
  for (const int parts : {1, 2, 6, 8}) {
    cases.push_back(pattern_maps_case({2, 3, 5, 7}, parts));
    cases.push_back(pattern_pool_case({2, 3, 5, 7}, parts));
  }
  cases.push_back(pattern_maps_case({1, 1, 1, 1}, 1));
  cases.push_back(pattern_maps_case({1, 23, 13, 3}, 5));  // more rows than one tile of the weight's gradient
  cases.push_back(pattern_maps_case({3, 2, 1, 67}, 7));
  cases.push_back(pattern_pool_case({1, 1, 1, 1}, 1));
  cases.push_back(pattern_pool_case({3, 2, 1, 67}, 7));
  cases.push_back(pattern_pool_case({2, 5, 3, 11}, 0));
  cases.push_back(pattern_alignment_case({2, 3, 2, 5}, 6));
  cases.push_back(wide(instance_norm_case({2, 6, 3, 64})));
  cases.push_back(wide(instance_norm_case({1, 3, 2, 2048})));
  cases.push_back(wide(modality_alleviation_case({2, 4, 3, 64}, 4)));
  cases.push_back(wide(modality_alleviation_case({1, 3, 2, 2048}, 16)));
  // Rows enough for every loop over a few of them at once, more pixels than are staged at a time, more chunks of rows
  // than warps that add them up.
  for (const int c : {64, 67}) {
    const Shape tall{1, 25, 17, c};
    cases.push_back(wide(instance_norm_case(tall)));
    cases.push_back(wide(modality_alleviation_case(tall, 5)));
    for (const int parts : {3, 5}) {
      cases.push_back(wide(pattern_maps_case(tall, parts)));
      cases.push_back(wide(pattern_pool_case(tall, parts)));
    }
  }
  cases.push_back(wide(pattern_maps_case({1, 80, 80, 3}, 5)));
  cases.push_back(wide(pattern_pool_case({2, 80, 40, 3}, 5)));
  for (const Shape& shape : {Shape{2, 6, 3, 64}, Shape{1, 3, 2, 2048}}) {
    cases.push_back(wide(pattern_maps_case(shape, 6)));
    cases.push_back(wide(pattern_pool_case(shape, 6)));
  }
}

}  // namespace mpanet::PRECISION
