// Batch norm of features: the BN neck.
#include "tests/ops/conv_inputs.h"

namespace mpanet::PRECISION {
namespace {

OpCase batch_norm_1d_case(const Shape& shape, Mode mode, bool frozen) {
  const auto make = [=](Inputs& in) -> Call {
    BatchNorm& norm = in.keep<BatchNorm>(in.store(), "norm", static_cast<int>(shape[1]), TrainedParts{true, !frozen});
    in.fill_parameters();
    const RealTensor f = in.values("f", shape, Draw::normal(2, 0.5));
    return [=, &norm, &context = in.context()] { return Outputs{{}, {batch_norm_1d(context, f, norm, mode)}}; };
  };
  const double pass = kRealBytes * static_cast<double>(shape.count());
  OpCase made{"batch_norm_1d",
              fmt::format("{} {}{}", text(shape), name(mode), frozen ? " frozen bias" : ""),
              make,
              {2 * pass},
              {3 * pass}};
  if (shape[0] < 5) made.tolerance_factor = 4;  // with so few rows the gradient is a small difference
  return made;
}

Cases checks() {
  Cases cases;
  for (const Mode mode : {Mode::Train, Mode::Eval}) {
    for (const bool frozen : {false, true})
      for (const Shape& shape : {Shape{3, 1}, Shape{5, 7}, Shape{4, 67}, Shape{11, 130}})
        cases.push_back(batch_norm_1d_case(shape, mode, frozen));
    cases.push_back(wide(batch_norm_1d_case({150, 19}, mode, false)));  // more rows than fit in registers
  }
  cases.push_back(wide(batch_norm_1d_case({8, 2048}, Mode::Train, true)));
  return cases;
}

Cases benchmarks(const NetworkSizes& z) { return {batch_norm_1d_case({z.samples, z.features()}, Mode::Train, true)}; }

const OpRegistration registration("feature_norm", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
