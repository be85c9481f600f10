// The residual block of ResNets (He et al. 2016) as one op: relu(body(x) + shortcut(x)).
#pragma once
#include <deque>
#include <optional>
#include <string>

#include "layers/batch_norm.h"

namespace mpanet::PRECISION {

// A convolution with its batch norm.
struct ConvNorm {
  ConvNorm(ParameterStore& store, const std::string& conv_name, const std::string& norm_name, int c, int k, int size,
           int stride)
      : conv(store, conv_name, c, k, size, stride, size / 2), norm(store, norm_name, k) {}
  Conv conv;
  BatchNorm norm;
};

// Bottleneck (1x1, 3x3, 1x1) or basic block (3x3, 3x3), with a ReLU after each norm but the last, which has it after
// the sum. Without `downsample` the shortcut is x.
struct ResidualBlock {
  std::deque<ConvNorm> body;
  std::optional<ConvNorm> downsample;
};

// x (N, H, W, C) -> (N, H', W', K). In eval mode without recording the norms are folded into the convolutions.
Tensor residual_block(Context& context, const Tensor& x, ResidualBlock& block, Mode mode);

}  // namespace mpanet::PRECISION
