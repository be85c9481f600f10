#include "layers/layers.h"
#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {
namespace {

OpCase relu_case(const Shape& shape) {
  const auto make = [=](Inputs& in) -> Call {
    const Tensor x = in.activation("x", shape, Draw::away_from_zero());
    return [=, &context = in.context()] { return Outputs{{relu(context, x)}, {}}; };
  };
  const double pass = kStorageBytes * static_cast<double>(shape.count());
  return {"relu", text(shape), make, {2 * pass}, {3 * pass}};
}

Cases checks() {
  Cases cases;
  for (const Shape& shape : {Shape{1, 1, 1, 2}, Shape{2, 3, 5, 7}, Shape{1, 13, 1, 67}})
    cases.push_back(relu_case(shape));
  cases.push_back(wide(relu_case({1, 5, 3, 64})));
  return cases;
}

Cases benchmarks(const NetworkSizes& z) { return {relu_case({z.batch, z.height / 2, z.width / 2, z.channels(64)})}; }

const OpRegistration registration("relu", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
