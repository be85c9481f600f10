// Convolution, batch norm, and one op for convolution, batch norm, residual and ReLU together.
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
  const void* prepared_forward(Context& context, const ConvShape& shape, const real* scale);
  ParameterStore& store_;
  Parameter& weight_;
  Parameter* bias_ = nullptr;
  int c_, k_, size_, stride_, pad_;
  WeightCopy copy_;
};

// Batch norm of c channels (2d) or features (1d): weight, bias, running_mean, running_var. eps 1e-5, momentum 0.1.
class BatchNorm {
 public:
  BatchNorm(ParameterStore& store, const std::string& name, int c, bool frozen_bias = false);
  int channels() const { return c_; }
  // Scale and shift (c) that equal the norm in eval mode, computed once per version of the parameters.
  const real* folded_scale(Context& context);
  const real* folded_shift(Context& context);

  Parameter &weight, &bias, &running_mean, &running_var;
  static constexpr real kEps = static_cast<real>(1e-5), kMomentum = static_cast<real>(0.1);

 private:
  void fold(Context& context);
  ParameterStore& store_;
  int c_;
  Buffer folded_;
  uint64_t version_ = 0;
};

// y = conv(x) + bias
Tensor conv2d(Context& context, const Tensor& x, Conv& conv);
// y = [relu](batch_norm(x) [+ residual])
Tensor batch_norm_2d(Context& context, const Tensor& x, BatchNorm& norm, Mode mode, bool relu = false,
                     const Tensor& residual = {});
// y = [relu](batch_norm(conv(x)) [+ residual]). In eval mode without recording the norm is folded into the convolution,
// and only y is written.
Tensor conv_bn_act(Context& context, const Tensor& x, Conv& conv, BatchNorm& norm, Mode mode, bool relu,
                   const Tensor& residual = {});
// Batch norm of features f (N, D).
RealTensor batch_norm_1d(Context& context, const RealTensor& f, BatchNorm& norm, Mode mode);

}  // namespace mpanet::PRECISION
