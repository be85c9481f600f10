// All layers except convolution and batch norm. Each function checks shapes, runs the kernel and records its backward.
#pragma once
#include "layers/parameter.h"

namespace mpanet::PRECISION {

Tensor relu(Context& context, const Tensor& x);
// Windows of size x size; ties go to the first maximum.
Tensor max_pool(Context& context, const Tensor& x, int size, int stride, int pad);
// x (N, H, W, C) -> (N, C)
RealTensor global_mean(Context& context, const Tensor& x);
// x (N, D), weight (K, D), bias (K) or null -> (N, K)
RealTensor linear(Context& context, const RealTensor& x, Parameter& weight, Parameter* bias = nullptr);
// linear() of the same x with several weights (K, D), all different. `frozen` weights get no gradient, and pass none to
// x. Returns the outputs in order, those of `frozen` last.
std::vector<Logits> linear_several(Context& context, const RealTensor& x, const std::vector<Parameter*>& weights,
                                   const std::vector<const Parameter*>& frozen);
RealTensor sigmoid(Context& context, const RealTensor& x);

// Normalises each (image, channel) to zero mean and unit variance over H x W; biased variance, no parameters.
constexpr real kInstanceNormEps = static_cast<real>(1e-5);
Tensor instance_norm(Context& context, const Tensor& x);
// Modality alleviation module (paper section 3.2): m x + (1 - m) IN(x), m = sigmoid(w2 relu(w1 avgpool(x))).
// w1 (H, C, 1, 1), w2 (C, H, 1, 1)
Tensor modality_alleviation(Context& context, const Tensor& x, Parameter& w1, Parameter& w2);

// Pattern alignment module (paper section 3.3). masks (N, H W, P) = sigmoid(conv1x1(x) + b); f (N, (P + 1) C): the mean
// over H W of each map times x, then of x. weight (P, C, 1, 1), bias (P), both of `store`
struct PatternFeatures {
  RealTensor f, masks;
};
PatternFeatures pattern_alignment(Context& context, ParameterStore& store, const Tensor& x, Parameter& weight,
                                  Parameter& bias);

}  // namespace mpanet::PRECISION
