// Cases: convolution, batch norm, and their fusion with an activation and a residual.
#include <fmt/format.h>

#include "layers/batch_norm.h"
#include "layers/layers.h"
#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {
namespace {

// Square filters: 1x1, 3x3, 7x7; sizes of 1, primes, tails; windows wider than the picture; strides that skip rows.
const ConvShape kShapes[] = {
    {.n = 1, .h = 1, .w = 1, .c = 1, .k = 1, .kh = 1, .kw = 1},
    {.n = 2, .h = 3, .w = 5, .c = 7, .k = 5, .kh = 1, .kw = 1},
    {.n = 3, .h = 5, .w = 4, .c = 17, .k = 13, .kh = 1, .kw = 1},
    {.n = 2, .h = 5, .w = 4, .c = 6, .k = 3, .kh = 1, .kw = 1, .stride = 2, .pad = 0},
    {.n = 2, .h = 7, .w = 5, .c = 3, .k = 5, .kh = 3, .kw = 3, .stride = 1, .pad = 1},
    {.n = 1, .h = 2, .w = 1, .c = 3, .k = 3, .kh = 3, .kw = 3, .stride = 1, .pad = 1},
    {.n = 3, .h = 8, .w = 7, .c = 2, .k = 11, .kh = 3, .kw = 3, .stride = 2, .pad = 1},
    {.n = 1, .h = 11, .w = 10, .c = 3, .k = 2, .kh = 3, .kw = 3, .stride = 3, .pad = 0},
    {.n = 2, .h = 11, .w = 9, .c = 3, .k = 4, .kh = 7, .kw = 7, .stride = 2, .pad = 3},
    {.n = 1, .h = 5, .w = 3, .c = 1, .k = 2, .kh = 7, .kw = 7, .stride = 2, .pad = 3},
};

std::string name(const ConvShape& s) {
  return fmt::format("{}x{}x{}x{} {}x{} to {} stride {} pad {}", s.n, s.h, s.w, s.c, s.kh, s.kw, s.k, s.stride, s.pad);
}

Conv& make_conv(Inputs& in, const char* name, const ConvShape& s, bool bias = false) {
  return in.keep<Conv>(in.store(), name, s.c, s.k, s.kh, s.stride, s.pad, bias);
}

OpCase conv_case(const ConvShape& s, bool bias, bool picture = false) {
  const auto make = [=](Inputs& in) -> Call {
    Conv& conv = make_conv(in, "conv", s, bias);
    in.fill_parameters();
    const Tensor x = in.activation("x", {s.n, s.h, s.w, s.c}, {}, !picture);
    return [x, &conv, &context = in.context()] { return Outputs{{conv2d(context, x, conv)}, {}}; };
  };
  return {"conv2d", name(s) + (bias ? " bias" : "") + (picture ? " x without gradient" : ""), make, s.flops()};
}

const char* name(Mode mode) { return mode == Mode::Train ? "train" : "eval"; }

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
  OpCase made{"batch_norm_2d",
              fmt::format("{} {}{}{}", text(shape), name(mode), relu ? " relu" : "", residual ? " residual" : ""),
              make};
  if (shape[0] * shape[1] * shape[2] < 5)
    made.harder = 4;  // what is left of so few rows' gradient is a small difference
  return made;
}

OpCase batch_norm_1d_case(const Shape& shape, Mode mode, bool frozen) {
  const auto make = [=](Inputs& in) -> Call {
    BatchNorm& norm = in.keep<BatchNorm>(in.store(), "norm", static_cast<int>(shape[1]), frozen);
    in.fill_parameters();
    const RealTensor f = in.values("f", shape, Draw::normal(2, 0.5));
    return [=, &norm, &context = in.context()] { return Outputs{{}, {batch_norm_1d(context, f, norm, mode)}}; };
  };
  OpCase made{"batch_norm_1d", fmt::format("{} {}{}", text(shape), name(mode), frozen ? " frozen bias" : ""), make};
  if (shape[0] < 5) made.harder = 4;  // what is left of so few rows' gradient is a small difference
  return made;
}

enum class Residual { None, Other, Input, Reused, Frozen };

const char* name(Residual residual) {
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

// Reused: a later op reads the residual too, so that it already has a gradient when this op's backward arrives.
OpCase conv_bn_act_case(const ConvShape& s, Mode mode, bool relu, Residual residual) {
  const auto make = [=](Inputs& in) -> Call {
    Conv& conv = make_conv(in, "conv", s);
    BatchNorm& norm = in.keep<BatchNorm>(in.store(), "norm", s.k);
    in.fill_parameters();
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
  return rounding({"conv_bn_act", fmt::format("{} {}{}{}", name(s), name(mode), relu ? " relu" : "", name(residual)),
                   make, s.flops()},
                  2);  // the convolution's output and that one's gradient
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
  return rounding({"conv_bn_act", name(s) + " two identity blocks", make, 2 * s.flops()}, 6);
}

// One convolution used twice in a step: its weight's gradient is added to.
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
  return rounding({"conv2d", name(s) + " bias used twice", make, 2 * s.flops()}, 2);
}

}  // namespace

void add_conv_cases(std::vector<OpCase>& cases) {
  for (const ConvShape& s : kShapes)
    for (const bool bias : {false, true}) cases.push_back(conv_case(s, bias));
  cases.push_back(conv_case(kShapes[8], false, true));
  cases.push_back(shared_conv_case());

  for (const Mode mode : {Mode::Train, Mode::Eval}) {
    for (const bool relu : {false, true})
      for (const bool residual : {false, true})
        for (const Shape& shape : {Shape{3, 1, 1, 1}, Shape{2, 3, 5, 7}, Shape{1, 7, 3, 67}, Shape{2, 23, 13, 3}})
          cases.push_back(batch_norm_2d_case(shape, mode, relu, residual));
    for (const bool frozen : {false, true})
      for (const Shape& shape : {Shape{3, 1}, Shape{5, 7}, Shape{4, 67}, Shape{11, 130}})
        cases.push_back(batch_norm_1d_case(shape, mode, frozen));
    const ConvShape same{.n = 2, .h = 3, .w = 5, .c = 7, .k = 7, .kh = 3, .kw = 3, .stride = 1, .pad = 1};
    const ConvShape pointwise{.n = 3, .h = 2, .w = 3, .c = 5, .k = 5, .kh = 1, .kw = 1};
    for (const bool relu : {false, true}) {
      for (const Residual residual : {Residual::None, Residual::Other, Residual::Reused, Residual::Frozen})
        for (const ConvShape& s : {kShapes[1], kShapes[3], kShapes[6], kShapes[8]})
          cases.push_back(conv_bn_act_case(s, mode, relu, residual));
      for (const ConvShape& s : {same, pointwise}) cases.push_back(conv_bn_act_case(s, mode, relu, Residual::Input));
    }
  }
  cases.push_back(blocks_case());
  const ConvShape square{.n = 1, .h = 5, .w = 3, .c = 64, .k = 64, .kh = 3, .kw = 3, .stride = 1, .pad = 1};
  const ConvShape deep{.n = 1, .h = 2, .w = 2, .c = 2048, .k = 32, .kh = 1, .kw = 1};
  const ConvShape broad{.n = 1, .h = 3, .w = 2, .c = 32, .k = 256, .kh = 1, .kw = 1};
  for (const ConvShape& s : {square, deep, broad}) cases.push_back(wide(conv_case(s, false)));
  cases.push_back(wide(conv_bn_act_case(square, Mode::Train, true, Residual::Input)));
  cases.push_back(wide(conv_bn_act_case(broad, Mode::Train, true, Residual::Other)));
  for (const Shape& shape : {Shape{2, 5, 3, 64}, Shape{3, 2, 1, 2048}, Shape{1, 40, 25, 64}})
    cases.push_back(wide(batch_norm_2d_case(shape, Mode::Train, true, true)));
  cases.push_back(wide(batch_norm_1d_case({8, 2048}, Mode::Train, true)));
  // More rows than a thread keeps; more parts than a block that merges them takes at once.
  for (const Mode mode : {Mode::Train, Mode::Eval}) cases.push_back(wide(batch_norm_1d_case({150, 19}, mode, false)));
  cases.push_back(wide(batch_norm_2d_case({1, 132, 125, 7}, Mode::Train, true, true)));
}

}  // namespace mpanet::PRECISION
