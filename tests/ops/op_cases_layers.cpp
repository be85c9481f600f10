// Cases: the plain layers, and tensors that several ops read.
#include <fmt/format.h>

#include "layers/layers.h"
#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {
namespace {

OpCase relu_case(const Shape& shape) {
  const auto make = [=](Inputs& in) -> Call {
    const Tensor x = in.activation("x", shape, Draw::away_from_zero());
    return [=, &context = in.context()] { return Outputs{{relu(context, x)}, {}}; };
  };
  return {"relu", text(shape), make};
}

OpCase max_pool_case(const Shape& shape, int size, int stride, int pad) {
  const auto make = [=](Inputs& in) -> Call {
    const Tensor x = in.activation("x", shape, Draw::distinct());
    return [=, &context = in.context()] { return Outputs{{max_pool(context, x, size, stride, pad)}, {}}; };
  };
  return {"max_pool", fmt::format("{} {}x{} stride {} pad {}", text(shape), size, size, stride, pad), make};
}

OpCase global_mean_case(const Shape& shape) {
  const auto make = [=](Inputs& in) -> Call {
    const Tensor x = in.activation("x", shape);
    return [=, &context = in.context()] { return Outputs{{}, {global_mean(context, x)}}; };
  };
  return {"global_mean", text(shape), make};
}

OpCase linear_case(int n, int d, int k, bool bias) {
  const auto make = [=](Inputs& in) -> Call {
    Parameter& weight = in.store().add("weight", {k, d}, true);
    Parameter* const b = bias ? &in.store().add("bias", {k}, true) : nullptr;
    in.fill_parameters();
    const RealTensor x = in.values("x", {n, d});
    return [=, &weight, &context = in.context()] { return Outputs{{}, {linear(context, x, weight, b)}}; };
  };
  return {"linear", fmt::format("{}x{} to {}{}", n, d, k, bias ? " bias" : ""), make, 2.0 * n * d * k};
}

OpCase sigmoid_case(const Shape& shape) {
  const auto make = [=](Inputs& in) -> Call {
    const RealTensor x = in.values("x", shape, Draw::normal(2));
    return [=, &context = in.context()] { return Outputs{{}, {sigmoid(context, x)}}; };
  };
  return {"sigmoid", text(shape), make};
}

// The later readers' backward runs first and sets, the earlier ones' adds; every kind of op is an earlier one once.
OpCase shared_activation_case() {
  const Shape shape{2, 5, 3, 7};
  const auto make = [=](Inputs& in) -> Call {
    const Tensor x = in.activation("x", shape, Draw::away_from_zero());
    return [=, &context = in.context()] {
      const Tensor y = relu(context, x);
      return Outputs{{relu(context, y), max_pool(context, x, 3, 2, 1), instance_norm(context, y), relu(context, x)},
                     {global_mean(context, y), global_mean(context, x)}};
    };
  };
  return rounding({"shared tensor", text(shape) + " read by relu, max_pool, instance_norm, global_mean", make}, 4);
}

OpCase shared_values_case() {
  const auto make = [=](Inputs& in) -> Call {
    Parameter& weight = in.store().add("weight", {5, 5}, true);
    Parameter* const bias = &in.store().add("bias", {5}, true);
    in.fill_parameters();
    const RealTensor x = in.values("x", {3, 5});
    return [=, &weight, &context = in.context()] {
      const RealTensor y = linear(context, x, weight, bias), z = sigmoid(context, y);
      return Outputs{{}, {linear(context, z, weight, bias), linear(context, y, weight), sigmoid(context, y), z}};
    };
  };
  return {"shared tensor", "3x5 read by linear (one weight, three times) and sigmoid", make};
}

}  // namespace

void add_layer_cases(std::vector<OpCase>& cases) {
  for (const Shape& shape : {Shape{1, 1, 1, 2}, Shape{2, 3, 5, 7}, Shape{1, 13, 1, 67}})
    cases.push_back(relu_case(shape));
  cases.push_back(max_pool_case({2, 7, 5, 3}, 3, 2, 1));
  cases.push_back(max_pool_case({1, 6, 4, 2}, 2, 2, 0));
  cases.push_back(max_pool_case({1, 5, 5, 1}, 3, 1, 1));
  cases.push_back(max_pool_case({3, 1, 2, 67}, 3, 2, 1));
  cases.push_back(max_pool_case({2, 11, 8, 5}, 3, 3, 0));
  for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{2, 3, 5, 7}, Shape{3, 7, 1, 67}})
    cases.push_back(global_mean_case(shape));
  for (const bool bias : {false, true}) {
    cases.push_back(linear_case(1, 1, 1, bias));
    cases.push_back(linear_case(3, 7, 5, bias));
    cases.push_back(linear_case(5, 67, 13, bias));
    cases.push_back(linear_case(1, 19, 37, bias));
  }
  for (const Shape& shape : {Shape{1, 1}, Shape{3, 7}, Shape{2, 67}}) cases.push_back(sigmoid_case(shape));
  cases.push_back(wide(relu_case({1, 5, 3, 64})));
  cases.push_back(wide(max_pool_case({1, 8, 6, 64}, 3, 2, 1)));
  cases.push_back(wide(global_mean_case({2, 6, 3, 64})));
  cases.push_back(wide(global_mean_case({1, 3, 2, 2048})));
  cases.push_back(wide(linear_case(8, 2048, 32, true)));
  // More pixels than are staged at a time, and rows enough for every loop over a few of them at once.
  for (const int c : {64, 67}) cases.push_back(wide(global_mean_case({1, 25, 17, c})));
  cases.push_back(shared_activation_case());
  cases.push_back(shared_values_case());
}

}  // namespace mpanet::PRECISION
