// Batch norm, and one op for convolution, batch norm, residual and ReLU together.
#pragma once
#include <string>

#include "layers/conv.h"

namespace mpanet::PRECISION {

// Which of a norm's two parameters are trained.
struct TrainedParts {
  bool weight = true, bias = true;
};

// Batch norm of c channels (2d) or features (1d): weight, bias, running_mean, running_var. eps 1e-5, momentum 0.1.
class BatchNorm {
 public:
  BatchNorm(ParameterStore& store, const std::string& name, int c, TrainedParts trained = {});
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
