// Residual blocks: basic and bottleneck, with and without a convolution on the shortcut.
#include "layers/residual_block.h"

#include "layers/layers.h"
#include "tests/ops/conv_inputs.h"

namespace mpanet::PRECISION {
namespace {

// x (n, h, w, c); `width` channels inside a bottleneck (0: a basic block), k of the output.
struct BlockShape {
  int n, h, w, c, width, k, stride = 1;
  bool downsample() const { return stride != 1 || c != k; }
  std::string text() const {
    return fmt::format("{}x{}x{}x{} {} to {}{}", n, h, w, c, width > 0 ? fmt::format("bottleneck {}", width) : "basic",
                       k, stride > 1 ? fmt::format(" stride {}", stride) : "");
  }
};

struct Layer {
  int c, k, size, stride;
};

std::vector<Layer> body_of(const BlockShape& s) {
  if (s.width == 0) return {{s.c, s.k, 3, s.stride}, {s.k, s.k, 3, 1}};
  return {{s.c, s.width, 1, 1}, {s.width, s.width, 3, s.stride}, {s.width, s.k, 1, 1}};
}

// At most: of each convolution its output, the norm's, and the gradient of either. Below 10, because ten are a network.
int roundings(const BlockShape& s) { return std::min(9, 4 * (static_cast<int>(body_of(s).size()) + s.downsample())); }

// Under TF32 each convolution of a path rounds its operands forward, and a gradient backward. Of the first, x is an
// input.
OpCase with_block(const OpCase& made, const BlockShape& s, int blocks = 1) {
  const int products = 2 * blocks * static_cast<int>(body_of(s).size());
  return with_convolutions(rounding(made, std::min(9, blocks * roundings(s))), products, products - 1);
}

ResidualBlock& make_block(Inputs& in, const std::string& name, const BlockShape& s) {
  ResidualBlock& block = in.keep<ResidualBlock>();
  for (const Layer& layer : body_of(s)) {
    const std::string index = std::to_string(block.body.size() + 1);
    block.body.emplace_back(in.store(), name + "conv" + index, name + "norm" + index, layer.c, layer.k, layer.size,
                            layer.stride);
  }
  if (s.downsample())
    block.downsample.emplace(in.store(), name + "downsample", name + "downsample norm", s.c, s.k, 1, s.stride);
  return block;
}

enum class Input { Leaf, ReadAgain, Frozen };

// ReadAgain: a later op reads x too, so that it already has a gradient when the block's backward arrives.
OpCase block_case(const BlockShape& s, Mode mode, Input input = Input::Leaf) {
  const auto make = [=](Inputs& in) -> Call {
    ResidualBlock& block = make_block(in, "", s);
    in.fill_parameters();
    // Other numbers: with the first ones TF32's roundings decide on which side of zero an input of a ReLU is.
    if (mode == Mode::Eval && s.width == 3) in.values("", {1}, {}, false);
    const Tensor x = in.activation("x", {s.n, s.h, s.w, s.c}, Draw::away_from_zero(), input != Input::Frozen);
    return [=, &block, &context = in.context()] {
      Outputs out{{residual_block(context, x, block, mode)}, {}};
      if (input == Input::ReadAgain) out.activations.push_back(relu(context, x));
      return out;
    };
  };
  const char* const how = input == Input::ReadAgain ? " x read again" : input == Input::Frozen ? " x frozen" : "";
  return with_block({"residual_block", fmt::format("{} {}{}", s.text(), name(mode), how), make}, s);
}

// Two blocks in a row: the second one's input is the first one's output.
OpCase two_blocks_case(const BlockShape& first, const BlockShape& second) {
  const auto make = [=](Inputs& in) -> Call {
    ResidualBlock &a = make_block(in, "a.", first), &b = make_block(in, "b.", second);
    in.fill_parameters();
    const Tensor x = in.activation("x", {first.n, first.h, first.w, first.c}, Draw::away_from_zero());
    return [=, &a, &b, &context = in.context()] {
      const Tensor y = residual_block(context, x, a, Mode::Train);
      return Outputs{{residual_block(context, y, b, Mode::Train)}, {}};
    };
  };
  return with_block({"residual_block", first.text() + ", then to " + std::to_string(second.k), make}, first, 2);
}

Cases checks() {
  // Odd numbers of channels, single packs, and multiples of 8 that fill no word of signs. Enough pixels that a few on
  // the other side of a ReLU's kink do not dominate a sum.
  const BlockShape identity[] = {{4, 7, 6, 7, 3, 7}, {4, 6, 5, 5, 0, 5}, {4, 6, 7, 24, 8, 24}, {4, 6, 5, 8, 0, 8}};
  const BlockShape shortened[] = {{4, 9, 8, 6, 3, 7, 2},
                                  {4, 8, 7, 5, 0, 6, 2},
                                  {4, 9, 8, 8, 8, 24, 2},
                                  {4, 6, 5, 4, 0, 12, 1},
                                  {4, 6, 5, 8, 8, 16}};
  Cases cases;
  for (const Mode mode : {Mode::Train, Mode::Eval}) {
    for (const BlockShape& s : identity) cases.push_back(block_case(s, mode));
    for (const BlockShape& s : shortened) cases.push_back(block_case(s, mode));
  }
  for (const Input input : {Input::ReadAgain, Input::Frozen})
    for (const BlockShape& s : {identity[0], identity[3], shortened[1], shortened[2]})
      cases.push_back(block_case(s, Mode::Train, input));
  cases.push_back(two_blocks_case(shortened[2], identity[2]));
  cases.push_back(wide(block_case({4, 6, 4, 64, 32, 128, 2}, Mode::Train)));
  cases.push_back(wide(block_case({3, 6, 4, 128, 32, 128}, Mode::Train)));
  for (OpCase& made : cases) made.samples = std::min(made.samples, 4);  // each is two forward passes
  return cases;
}

void add(OpCost& total, const OpCost& more) {
  total.bytes += more.bytes;
  total.flops += more.flops;
}

// Bytes: of a convolution's output the statistics, the norm and the two passes of its backward, which also read one bit
// an element where there is a ReLU. Of a shortcut with a norm, the sum is written and its gradient read by the last
// norm's passes.
OpCase block_benchmark(const BlockShape& s) {
  OpCase made = block_case(s, Mode::Train);
  ConvShape conv{s.n, s.h, s.w};
  const auto add_layer = [&](const Layer& layer, bool output) {
    conv.c = layer.c, conv.k = layer.k, conv.kh = conv.kw = layer.size;
    conv.stride = layer.stride, conv.pad = layer.size / 2;
    add(made.forward, conv_forward_cost(conv));
    add(made.backward, conv_backward_cost(conv, true));
    const double y = ConvBytes(conv).y, bits = static_cast<double>(conv.output_count()) / 8;
    add(made.forward, {output ? 3 * y + bits : 2 * y});
    add(made.backward, {output ? 5 * y + 2 * bits : 3 * y});
  };
  if (s.downsample()) add_layer({s.c, s.k, 1, s.stride}, false);
  for (const Layer& layer : body_of(s)) {
    add_layer(layer, true);
    conv.h = conv.oh(), conv.w = conv.ow();
  }
  if (!s.downsample()) {  // the residual and its gradient
    const double x = kStorageBytes * static_cast<double>(conv.output_count());
    add(made.forward, {x});
    add(made.backward, {x});
  }
  return made;
}

// The first two blocks of each stage.
Cases benchmarks(const NetworkSizes& z) {
  Cases cases;
  int in = z.channels(64), h = z.height / 4, w = z.width / 4;
  for (const int middle : {64, 128, 256, 512}) {
    const int stride = middle == 128 || middle == 256 ? 2 : 1, out = z.channels(4 * middle);
    cases.push_back(block_benchmark({z.batch, h, w, in, z.channels(middle), out, stride}));
    h /= stride, w /= stride, in = out;
    cases.push_back(block_benchmark({z.batch, h, w, in, z.channels(middle), out}));
  }
  return cases;
}

const OpRegistration registration("residual_block", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
