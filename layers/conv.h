// Convolution, batch norm, and the two with an activation and a residual as one op: a ResNet's unit of work.
#pragma once
#include <string>

#include "layers/parameter.h"

namespace mpanet::PRECISION {

// A backend's own copy of a weight, made of one version of the parameters for one geometry.
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

  // y = epilogue(conv(x)), nothing recorded. `scaled`: the epilogue has a scale that may go into the weights.
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
  // Eval mode as scale and shift (c), computed once per version of the parameters.
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
// y = [relu](batch_norm(conv(x)) [+ residual]). Without recording and in eval mode the norm is folded into the
// convolution and nothing is written but y.
Tensor conv_bn_act(Context& context, const Tensor& x, Conv& conv, BatchNorm& norm, Mode mode, bool relu,
                   const Tensor& residual = {});
// Batch norm of features f (N, D).
RealTensor batch_norm_1d(Context& context, const RealTensor& f, BatchNorm& norm, Mode mode);

}  // namespace mpanet::PRECISION
