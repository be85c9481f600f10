// ResNet backbones without average pooling and classifier (He et al. 2016; version 1.5: the 3x3 convolution of a
// bottleneck has the stride), with modality alleviation modules after layer3 and layer4 (docs/method.md, section 1).
#pragma once
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "layers/layers.h"
#include "layers/residual_block.h"
#include "mpanet/network/model_config.h"

namespace mpanet::PRECISION {

struct Attention {
  Attention(ParameterStore& store, const std::string& name, int c);
  Parameter &w1, &w2;
};

class Backbone {
 public:
  Backbone(ParameterStore& store, const ModelConfig& config);
  // images (N, H, W, 3) -> (N, H', W', channels()). H' and W' are H / 16 and W / 16 with drop_last_stride, else H / 32
  // and W / 32, rounded up.
  Tensor forward(Context& context, const Tensor& images, Mode mode);
  int channels() const { return channels_; }

 private:
  ConvNorm stem_;
  std::vector<std::deque<ResidualBlock>> stages_;
  std::vector<std::optional<Attention>> attention_;  // after each stage
  int channels_ = 0;
};

}  // namespace mpanet::PRECISION
