// Tensors that several ops read.
#include "layers/layers.h"
#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {
namespace {

// The backward of the later readers runs first and sets the gradient; that of the earlier ones adds. Every kind of op
// is an earlier one once.
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
  // Two layers, forward and backward. Computed: y, and the gradients of z and y.
  return with_products({"shared tensor", "3x5 read by linear (one weight, three times) and sigmoid", make}, 4, 3);
}

Cases checks() { return {shared_activation_case(), shared_values_case()}; }

Cases benchmarks(const NetworkSizes&) { return {}; }

const OpRegistration registration("shared_tensors", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
