// Convolution, batch norm, activation and residual as one op.
#include "layers/layers.h"
#include "tests/ops/conv_inputs.h"

namespace mpanet::PRECISION {
namespace {

enum class Residual { None, Other, Input, Reused, Frozen };

const char* text_of(Residual residual) {
  switch (residual) {
    case Residual::None:
      return "";
    case Residual::Other:
      return " residual";
    case Residual::Input:
      return " residual is x";
    case Residual::Reused:
      return " residual used again";
    case Residual::Frozen:
      return " residual without gradient";
  }
  return "";
}

// Numbers in which no output of a ReLU is so near to zero that TF32's roundings decide on which side it is.
bool takes_other_numbers(const ConvShape& s) { return s.k == kOddConvolutions[6].k; }

// Reused: a later op reads the residual too, so that it already has a gradient when this op's backward arrives.
OpCase conv_bn_act_case(const ConvShape& s, Mode mode, bool relu, Residual residual) {
  const auto make = [=](Inputs& in) -> Call {
    Conv& conv = make_conv(in, "conv", s);
    BatchNorm& norm = in.keep<BatchNorm>(in.store(), "norm", s.k);
    in.fill_parameters();
    if (takes_other_numbers(s)) in.values("", {1}, {}, false);
    const Tensor x = in.activation("x", {s.n, s.h, s.w, s.c}, Draw::away_from_zero());
    Tensor r;
    if (residual == Residual::Input)
      r = x;
    else if (residual != Residual::None)
      r = in.activation("residual", {s.n, s.oh(), s.ow(), s.k}, Draw::away_from_zero(), residual != Residual::Frozen);
    return [=, &conv, &norm, &context = in.context()] {
      Outputs out{{conv_bn_act(context, x, conv, norm, mode, relu, r)}, {}};
      if (residual == Residual::Reused) out.activations.push_back(mpanet::PRECISION::relu(context, r));
      return out;
    };
  };
  // Rounded: the convolution's output and its gradient. Under TF32: operands of the forward pass, and that gradient.
  return with_convolutions(
      rounding(
          {"conv_bn_act", fmt::format("{} {}{}{}", name(s), name(mode), relu ? " relu" : "", text_of(residual)), make},
          2),
      2, 1);
}

// Two identity blocks in a row, as in a ResNet: the first one's output is the second's input and residual.
OpCase blocks_case() {
  const ConvShape s{.n = 2, .h = 3, .w = 5, .c = 7, .k = 7, .kh = 3, .kw = 3, .stride = 1, .pad = 1};
  const auto make = [=](Inputs& in) -> Call {
    Conv &first = make_conv(in, "conv1", s), &second = make_conv(in, "conv2", s);
    BatchNorm& first_norm = in.keep<BatchNorm>(in.store(), "norm1", s.k);
    BatchNorm& second_norm = in.keep<BatchNorm>(in.store(), "norm2", s.k);
    in.fill_parameters();
    const Tensor x = in.activation("x", {s.n, s.h, s.w, s.c});
    return [=, &first, &second, &first_norm, &second_norm, &context = in.context()] {
      const Tensor y = conv_bn_act(context, x, first, first_norm, Mode::Train, true, x);
      return Outputs{{conv_bn_act(context, y, second, second_norm, Mode::Train, true, y)}, {}};
    };
  };
  return with_convolutions(rounding({"conv_bn_act", name(s) + " two identity blocks", make}, 6), 4, 3);
}

Cases checks() {
  Cases cases;
  const ConvShape same{.n = 2, .h = 3, .w = 5, .c = 7, .k = 7, .kh = 3, .kw = 3, .stride = 1, .pad = 1};
  const ConvShape pointwise{.n = 3, .h = 2, .w = 3, .c = 5, .k = 5, .kh = 1, .kw = 1};
  const ConvShape* const odd = kOddConvolutions;
  for (const Mode mode : {Mode::Train, Mode::Eval})
    for (const bool relu : {false, true}) {
      for (const Residual residual : {Residual::None, Residual::Other, Residual::Reused, Residual::Frozen})
        for (const ConvShape& s : {odd[1], odd[3], odd[6], odd[8]})
          cases.push_back(conv_bn_act_case(s, mode, relu, residual));
      for (const ConvShape& s : {same, pointwise}) cases.push_back(conv_bn_act_case(s, mode, relu, Residual::Input));
    }
  cases.push_back(blocks_case());
  cases.push_back(wide(conv_bn_act_case(kWideConvolution, Mode::Train, true, Residual::Input)));
  cases.push_back(wide(conv_bn_act_case(kBroadConvolution, Mode::Train, true, Residual::Other)));
  return cases;
}

// The last convolution of a block in an embedding: the norm is folded, and residual and ReLU are in the epilogue.
OpCase embedding_case(const ConvShape& s) {
  OpCase made = conv_bn_act_case(s, Mode::Eval, true, Residual::Frozen);
  made.shapes = name(s) + " folded norm, residual, relu";
  made.forward = conv_forward_cost(s);
  made.forward.bytes += ConvBytes(s).y;
  made.forward.convolutions.clear();  // no single library call is equivalent
  made.recording = false;
  return made;
}

Cases benchmarks(const NetworkSizes& z) {
  Cases cases;
  for (const ConvShape& s : backbone_convolutions(z))
    if (s.kh == 1 && s.k == 4 * s.c) cases.push_back(embedding_case(s));
  return cases;
}

const OpRegistration registration("conv_bn_act", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
