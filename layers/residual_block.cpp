#include "layers/residual_block.h"

#include <memory>
#include <vector>

#include "layers/norm_passes.h"

namespace mpanet::PRECISION {
namespace {

// What the backward needs of one convolution with its norm.
struct Saved {
  ConvNorm* layer = nullptr;
  Tensor x;
  NormedTensor z;
  NormOutput output;  // empty if another norm's output contains it
};

struct SavedBlock {
  std::vector<Saved> body;
  Saved downsample;
  Tensor shortcut;  // x or the downsample's output; empty if the last norm's output contains the downsample's norm
  bool completes_x = false;  // the block's backward adds the last part to x's gradient (follows_request())
  bool recomputes = false;   // the inner outputs have no values between forward and backward
};

Saved run_conv(Context& context, const Tensor& x, ConvNorm& layer, Mode mode) {
  return {&layer, x, conv_statistics(context, x, layer.conv, layer.norm, mode), {}};
}

// Embeddings: every norm is folded into its convolution.
Tensor folded_block(Context& context, const Tensor& x, ResidualBlock& block) {
  const auto run = [&](const Tensor& from, ConvNorm& layer, bool relu, const Tensor& residual) {
    return conv_bn_act(context, from, layer.conv, layer.norm, Mode::Eval, relu, residual);
  };
  const Tensor shortcut = block.downsample ? run(x, *block.downsample, false, {}) : x;
  Tensor y = x;
  for (ConvNorm& layer : block.body) y = run(y, layer, true, &layer == &block.body.back() ? shortcut : Tensor());
  return y;
}

// Each dz overwrites its z: element by element, z is read before dz is written. The tensors of a layer are released as
// soon as its gradients are complete. A later convolution of the body adds the only part to the gradient of its input,
// and so completes it. The body's first one completes x's gradient only if it runs after the shortcut's backward.
void backward(Context& context, SavedBlock& saved) {
  if (!saved.body.back().output.y.has_grad()) return;
  const auto norm_backward = [&](const Saved& s, const NormedTensor& joined, const Tensor& residual) {
    norms_backward(context, s.output, s.z, s.z.z.data(), Write::Set, joined, residual);
  };
  Saved& downsample = saved.downsample;
  const bool join = !saved.shortcut;
  const auto shortcut_backward = [&] {
    if (downsample.layer == nullptr) return;
    if (!join) norm_backward(downsample, {}, {});
    downsample.layer->conv.backward(context, downsample.x, downsample.z.z.data());
    downsample = {};
  };
  for (bool last = true; !saved.body.empty(); last = false) {
    const Saved& s = saved.body.back();
    const bool first = saved.body.size() == 1;
    norm_backward(s, last && join ? downsample.z : NormedTensor{}, last ? saved.shortcut : Tensor());
    if (first && saved.completes_x) shortcut_backward();
    if (!first && saved.recomputes) {
      const Saved& before = saved.body[saved.body.size() - 2];
      restore_output(context, before.output, before.z);
    }
    s.layer->conv.backward(context, s.x, s.z.z.data(), !first || saved.completes_x);
    saved.body.pop_back();
  }
  shortcut_backward();
}

}  // namespace

Tensor residual_block(Context& context, const Tensor& x, ResidualBlock& block, Mode mode) {
  if (mode == Mode::Eval && !context.recording()) return folded_block(context, x, block);
  const auto saved = std::make_shared<SavedBlock>();
  const NormFeatures features = ASK_BACKEND(context, batch_norm_features());
  saved->recomputes = features.recompute;
  Saved& downsample = saved->downsample;
  saved->shortcut = x;
  Saved first;  // of the body, if its statistics are merged with the downsample's
  if (block.downsample) {
    ConvNorm &down = *block.downsample, &front = block.body.front();
    const auto z = conv_statistics(context, x, down.conv, down.norm, front.conv, front.norm, mode);
    downsample = {&down, x, z.first, {}};
    first = {&front, x, z.second, {}};
    if (features.join) {
      saved->shortcut = {};
    } else {
      downsample.output = apply_norms(context, downsample.z, {}, {}, false);
      saved->shortcut = downsample.output.y;
    }
  }
  Tensor y = x;
  for (ConvNorm& layer : block.body) {
    Saved& s = saved->body.emplace_back(first.layer == &layer ? first : run_conv(context, y, layer, mode));
    first = {};
    if (saved->recomputes && &s != &saved->body.front()) s.x.release_data();
    const bool last = &layer == &block.body.back(), join = last && !saved->shortcut;
    s.output = apply_norms(context, s.z, join ? downsample.z : NormedTensor{}, last ? saved->shortcut : Tensor(), true);
    y = s.output.y;
  }
  // The backward does not read the values of the downsample's output, only its gradient.
  if (saved->downsample.output.y) saved->downsample.output.y.release_data();
  if (context.recording()) {
    saved->completes_x = follows_request(context, x);
    context.tape().record("residual_block", [saved, &context] { backward(context, *saved); });
  }
  return y;
}

}  // namespace mpanet::PRECISION
