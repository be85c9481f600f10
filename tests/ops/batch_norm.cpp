#include "layers/batch_norm.h"

#include "tests/ops/conv_inputs.h"

namespace mpanet::PRECISION {
namespace {

// Bytes: forward, the statistics and the norm each read x. Backward, the sums over a channel read dy and x, and again
// for dx. A ReLU's mask is one bit an element.
OpCase batch_norm_2d_case(const Shape& shape, Mode mode, bool relu, bool residual) {
  const auto make = [=](Inputs& in) -> Call {
    BatchNorm& norm = in.keep<BatchNorm>(in.store(), "norm", static_cast<int>(shape[3]));
    in.fill_parameters();
    const Tensor x = in.activation("x", shape);
    const Tensor r = residual ? in.activation("residual", shape) : Tensor();
    return [=, &norm, &context = in.context()] {
      return Outputs{{batch_norm_2d(context, x, norm, mode, relu, r)}, {}};
    };
  };
  const double pass = kStorageBytes * static_cast<double>(shape.count());
  const double mask = relu ? static_cast<double>(shape.count()) / 8 : 0;
  OpCase made{"batch_norm_2d",
              fmt::format("{} {}{}{}", text(shape), name(mode), relu ? " relu" : "", residual ? " residual" : ""),
              make,
              {((mode == Mode::Train ? 3 : 2) + residual) * pass + mask},
              {(5 + residual) * pass + 2 * mask}};
  if (shape[0] * shape[1] * shape[2] < 5)
    made.tolerance_factor = 4;  // with so few rows the gradient is a small difference
  return made;
}

Cases checks() {
  Cases cases;
  for (const Mode mode : {Mode::Train, Mode::Eval})
    for (const bool relu : {false, true})
      for (const bool residual : {false, true})
        for (const Shape& shape : {Shape{3, 1, 1, 1}, Shape{2, 3, 5, 7}, Shape{1, 7, 3, 67}, Shape{2, 23, 13, 3}})
          cases.push_back(batch_norm_2d_case(shape, mode, relu, residual));
  for (const Shape& shape : {Shape{2, 5, 3, 64}, Shape{3, 2, 1, 2048}, Shape{1, 40, 25, 64}})
    cases.push_back(wide(batch_norm_2d_case(shape, Mode::Train, true, true)));
  // More parts than the threads that merge them: their loop runs twice.
  cases.push_back(wide(batch_norm_2d_case({1, 132, 125, 7}, Mode::Train, true, true)));
  return cases;
}

// The norm after each distinct convolution of the backbone. If s.k == 4 * s.c it ends a block and adds the residual.
Cases benchmarks(const NetworkSizes& z) {
  Cases cases;
  std::vector<Shape> known;
  for (const ConvShape& s : backbone_convolutions(z)) {
    const Shape shape{s.n, s.oh(), s.ow(), s.k};
    if (std::find(known.begin(), known.end(), shape) != known.end()) continue;
    known.push_back(shape);
    cases.push_back(batch_norm_2d_case(shape, Mode::Train, true, s.k == 4 * s.c));
  }
  return cases;
}

const OpRegistration registration("batch_norm", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
