#include "layers/layers.h"
#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {
namespace {

OpCase sigmoid_case(const Shape& shape) {
  const auto make = [=](Inputs& in) -> Call {
    const RealTensor x = in.values("x", shape, Draw::normal(2));
    return [=, &context = in.context()] { return Outputs{{}, {sigmoid(context, x)}}; };
  };
  const double pass = kRealBytes * static_cast<double>(shape.count());
  return {"sigmoid", text(shape), make, {2 * pass}, {3 * pass}};
}

Cases checks() { return {sigmoid_case({1, 1}), sigmoid_case({3, 7}), sigmoid_case({2, 67})}; }

Cases benchmarks(const NetworkSizes& z) { return {sigmoid_case({z.batch, z.pixels(), NetworkSizes::parts})}; }

const OpRegistration registration("sigmoid", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
