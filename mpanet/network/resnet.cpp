#include "mpanet/network/resnet.h"

#include "mpanet/network/depth.h"

namespace mpanet::PRECISION {
namespace {

ResidualBlock make_block(ParameterStore& store, const std::string& name, const Depth& depth, int c_in, int width,
                         int stride) {
  ResidualBlock block;
  const int c_out = width * depth.expansion();
  const auto add = [&](int c, int k, int size, int s) {
    const std::string index = std::to_string(block.body.size() + 1);
    block.body.emplace_back(store, name + ".conv" + index, name + ".bn" + index, c, k, size, s);
  };
  if (depth.bottleneck) {
    add(c_in, width, 1, 1);
    add(width, width, 3, stride);
    add(width, c_out, 1, 1);
  } else {
    add(c_in, width, 3, stride);
    add(width, c_out, 3, 1);
  }
  if (stride != 1 || c_in != c_out)
    block.downsample.emplace(store, name + ".downsample.0", name + ".downsample.1", c_in, c_out, 1, stride);
  return block;
}

constexpr int kReduction = 16;  // channels / hidden units of the channel attention

}  // namespace

Attention::Attention(ParameterStore& store, const std::string& name, int c)
    : w1(store.add(name + ".channel_attention.0.weight", {c / kReduction, c, 1, 1}, true)),
      w2(store.add(name + ".channel_attention.2.weight", {c, c / kReduction, 1, 1}, true)) {}

Backbone::Backbone(ParameterStore& store, const ModelConfig& config)
    : stem_(store, "backbone.conv1", "backbone.bn1", 3, find_depth(config.depth).width, 7, 2) {
  const Depth depth = find_depth(config.depth);
  int c = depth.width;
  for (int stage = 1; stage <= 4; stage++) {
    const int width = depth.width << (stage - 1);
    const int stride = stage == 1 || (stage == 4 && config.drop_last_stride) ? 1 : 2;
    std::deque<ResidualBlock>& blocks = stages_.emplace_back();
    for (int i = 0; i < depth.blocks[static_cast<size_t>(stage - 1)]; i++) {
      const std::string name = "backbone.layer" + std::to_string(stage) + "." + std::to_string(i);
      blocks.push_back(make_block(store, name, depth, c, width, i == 0 ? stride : 1));
      c = width * depth.expansion();
    }
  }
  // The parameters of the modules come after those of all stages, as in the authors' state_dict.
  attention_.resize(4);
  if (config.mam > 1) attention_[2].emplace(store, "backbone.MAM3", c / 2);
  if (config.mam > 0) attention_[3].emplace(store, "backbone.MAM4", c);
  channels_ = c;
}

Tensor Backbone::forward(Context& context, const Tensor& images, Mode mode) {
  Tensor x = conv_bn_act(context, images, stem_.conv, stem_.norm, mode, true);
  x = max_pool(context, x, 3, 2, 1);
  for (size_t stage = 0; stage < stages_.size(); stage++) {
    for (ResidualBlock& block : stages_[stage]) x = residual_block(context, x, block, mode);
    if (attention_[stage]) x = modality_alleviation(context, x, attention_[stage]->w1, attention_[stage]->w2);
  }
  return x;
}

}  // namespace mpanet::PRECISION
