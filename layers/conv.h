// Convolution.
#pragma once
#include <string>

#include "layers/parameter.h"

namespace mpanet::PRECISION {

// A backend's own copy of a weight, for one version of the parameters and one geometry.
struct WeightCopy {
  Buffer buffer;
  ConvShape shape;
  uint64_t version = 0;
  bool folded = false;
};

// weight (k, c, size, size), optional bias (k).
class Conv {
 public:
  Conv(ParameterStore& store, const std::string& name, int c, int k, int size, int stride, int pad, bool bias = false);
  ConvShape shape(const Tensor& x) const;  // checks that x is (N, H, W, c) and large enough

  // y = epilogue(conv(x)); records nothing. A backend may fold the epilogue's scale into its copy of the weights.
  void forward(Context& context, const Tensor& x, const ConvEpilogue& epilogue, const Tensor& y);
  // dw, and dx if x needs it, from dy (n, oh, ow, k).
  void backward(Context& context, const Tensor& x, const storage* dy);
  Parameter* bias() const { return bias_; }

 private:
  const void* prepared_forward(Context& context, const ConvShape& shape, const storage* weight, const real* scale);
  ParameterStore& store_;
  Parameter& weight_;
  Parameter* bias_ = nullptr;
  int c_, k_, size_, stride_, pad_;
  WeightCopy copy_;
};

// y = conv(x) + bias
Tensor conv2d(Context& context, const Tensor& x, Conv& conv);

}  // namespace mpanet::PRECISION
