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

// Attached to x = relu(sum of norms) by the op that made it. A convolution whose data gradient is the last part of x's
// gradient may then compute, in its epilogue, sums for the backward of the norms (GradEpilogue). It also masks x's
// gradient by the ReLU. The arrays behind the pointers are valid until the backward of the op that made x.
struct GradientRequest {
  size_t record = 0;  // index of that op on the tape
  FlagTensor signs;
  Tensor z[2];  // the norms' inputs; the second may be empty
  const real* mean[2] = {};
  EpilogueSums parts;  // of `sums`
  RealTensor sums;     // empty: not computed
};

// Whether x has a request, and the op that is recorded next directly follows the op that made x. If so, no other op's
// backward runs between those of the two, so the next op's backward adds the last part to x's gradient.
inline bool follows_request(Context& context, const Tensor& x) {
  const auto* const request = x.attached<GradientRequest>();
  return request != nullptr && request->record + 1 == context.tape().size();
}

// weight (k, c, size, size), optional bias (k).
class Conv {
 public:
  Conv(ParameterStore& store, const std::string& name, int c, int k, int size, int stride, int pad, bool bias = false);
  ConvShape shape(const Tensor& x) const;  // checks that x is (N, H, W, c) and large enough

  // The sums that the epilogue of a pass can compute.
  EpilogueSums epilogue_sums(Context& context, const Tensor& x, ConvPass pass) const;
  // y = epilogue(conv(x)); records nothing. A backend may fold the epilogue's scale into its copy of the weights.
  void forward(Context& context, const Tensor& x, const ConvEpilogue& epilogue, const Tensor& y);
  // dw, and dx if x needs it, from dy (n, oh, ow, k). completes: no other op adds to x's gradient afterwards, so that
  // x's GradientRequest can be served.
  void backward(Context& context, const Tensor& x, const storage* dy, bool completes = false);
  Parameter* bias() const { return bias_; }

 private:
  void backward_weights(Context& context, const Tensor& x, const storage* dy);
  void backward_data(Context& context, const Tensor& x, const storage* dy, bool completes);
  const void* kept_weights(Context& context, const ConvShape& shape, size_t bytes, const real* scale);
  ParameterStore& store_;
  Parameter& weight_;
  Parameter* bias_ = nullptr;
  int c_, k_, size_, stride_, pad_;
  WeightCopy copy_;
};

// y = conv(x) + bias
Tensor conv2d(Context& context, const Tensor& x, Conv& conv);

}  // namespace mpanet::PRECISION
