#include "layers/conv.h"

#include "tests/ops/conv_inputs.h"

namespace mpanet::PRECISION {
namespace {

OpCase conv_case(const ConvShape& s, bool bias, bool picture = false) {
  const auto make = [=](Inputs& in) -> Call {
    Conv& conv = make_conv(in, "conv", s, bias);
    in.fill_parameters();
    const Tensor x = in.activation("x", {s.n, s.h, s.w, s.c}, {}, !picture);
    return [x, &conv, &context = in.context()] { return Outputs{{conv2d(context, x, conv)}, {}}; };
  };
  return with_convolutions({"conv2d", name(s) + (bias ? " bias" : "") + (picture ? " x without gradient" : ""), make,
                            conv_forward_cost(s), conv_backward_cost(s, !picture)},
                           1, 0);
}

// One convolution used twice in a step, so that its weight's gradient is added the second time.
OpCase shared_conv_case() {
  const ConvShape s{.n = 2, .h = 5, .w = 3, .c = 4, .k = 4, .kh = 3, .kw = 3, .stride = 1, .pad = 1};
  const auto make = [=](Inputs& in) -> Call {
    Conv& conv = make_conv(in, "conv", s, true);
    in.fill_parameters();
    const Tensor x = in.activation("x", {s.n, s.h, s.w, s.c});
    return [=, &conv, &context = in.context()] {
      const Tensor y = conv2d(context, x, conv);
      return Outputs{{y, conv2d(context, y, conv)}, {}};
    };
  };
  return with_convolutions(rounding({"conv2d", name(s) + " bias used twice", make}, 2), 3, 2);
}

Cases checks() {
  Cases cases;
  for (const ConvShape& s : kOddConvolutions)
    for (const bool bias : {false, true}) cases.push_back(conv_case(s, bias));
  cases.push_back(conv_case(kOddConvolutions[8], false, true));
  cases.push_back(shared_conv_case());
  for (const ConvShape& s : {kWideConvolution, kDeepConvolution, kBroadConvolution})
    cases.push_back(wide(conv_case(s, false)));
  for (const ConvShape& s : {kStem, kTinyStem}) cases.push_back(wide(conv_case(s, false, true)));
  return cases;
}

// The first convolution needs no gradient of its input, the pictures. The network's convolutions have no bias; one case
// has one, for the sums over rows.
Cases benchmarks(const NetworkSizes& z) {
  Cases cases;
  const std::vector<ConvShape> shapes = backbone_convolutions(z);
  for (const ConvShape& s : shapes) cases.push_back(conv_case(s, false, s.c == 3));
  cases.push_back(conv_case(shapes[1], true));
  return cases;
}

const OpRegistration registration("conv", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
