// The passes of batch norm over activations, which batch_norm_2d, conv_bn_act and residual_block call. None of them
// records a closure on the tape.
#pragma once
#include <utility>

#include "layers/batch_norm.h"

namespace mpanet::PRECISION {

// An activation z to be normalised, with the statistics: the batch's in training, the running ones in eval mode.
struct NormedTensor {
  Tensor z;
  BatchNorm* norm = nullptr;
  RealTensor batch_mean, batch_variance;  // empty in eval mode
  explicit operator bool() const { return norm != nullptr; }
  NormInput input() const;
};

// Training: computes the statistics and updates the running ones.
NormedTensor find_statistics(Context& context, const Tensor& z, BatchNorm& norm, Mode mode);

// z = conv(x), with its statistics.
NormedTensor conv_statistics(Context& context, const Tensor& x, Conv& conv, BatchNorm& norm, Mode mode);
// The same for two convolutions of x.
std::pair<NormedTensor, NormedTensor> conv_statistics(Context& context, const Tensor& x, Conv& conv, BatchNorm& norm,
                                                      Conv& second, BatchNorm& second_norm, Mode mode);

// y = [relu](sum of norms and residual), with the mask of the ReLU for the backward.
struct NormOutput {
  Tensor y;
  bool relu = false;
  FlagTensor signs;  // empty if the mask is y
  ReluMask mask() const;
};

// y = [relu](norm(z) + norm(joined)) or y = [relu](norm(z) + residual): at least one of `joined` and `residual` must be
// empty. With a ReLU, y has a GradientRequest if the backend can serve one; the caller must then record its op next.
NormOutput apply_norms(Context& context, const NormedTensor& z, const NormedTensor& joined, const Tensor& residual,
                       bool relu);

// Computes output.y = [relu](norm(z)) again, after its release_data().
void restore_output(Context& context, const NormOutput& output, const NormedTensor& z);

// From y's gradient: the gradients of the norms' weights and biases, of z into `dz`, of joined.z in place of joined.z,
// and of the residual. Releases y's gradient, or lets the residual take over its memory if it has no gradient yet.
void norms_backward(Context& context, const NormOutput& output, const NormedTensor& z, storage* dz, Write dz_write,
                    const NormedTensor& joined, const Tensor& residual);

}  // namespace mpanet::PRECISION
