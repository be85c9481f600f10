// The passes of batch norm over activations, of which batch_norm_2d, conv_bn_act and residual_block are made. None
// records anything.
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

// y = [relu](sum of norms and residual), and what the backward needs to know of it.
struct NormOutput {
  Tensor y;
  bool relu = false;
  FlagTensor signs;  // empty if the mask is y
  ReluMask mask() const;
};

// y = [relu](norm(z) + norm(joined) or residual). `joined` and `residual` may be empty, and one of them must be. With a
// ReLU, y has a GradientRequest if the backend can serve one; the op must be recorded next.
NormOutput apply_norms(Context& context, const NormedTensor& z, const NormedTensor& joined, const Tensor& residual,
                       bool relu);

// Computes the output of one norm again, after release_data().
void restore_output(Context& context, const NormOutput& output, const NormedTensor& z);

// From y's gradient: the gradients of the norms' weights and biases, of z into `dz`, of joined.z into itself, and of
// the residual. Releases y's gradient, or lets the residual take over its memory if it has no gradient yet.
void norms_backward(Context& context, const NormOutput& output, const NormedTensor& z, storage* dz, Write dz_write,
                    const NormedTensor& joined, const Tensor& residual);

}  // namespace mpanet::PRECISION
