// The kernels of batch norm that are not in batch_norm.inc.
#include <cmath>

#include "core/base/error.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {

// This backend has neither joined norms nor sums from a convolution's epilogue.
NormFeatures batch_norm_features() { return {.recompute = true}; }
EpilogueSums conv_epilogue_sums(Stream, const ConvShape&, ConvPass) { return {}; }
void batch_norm_finish_statistics(Stream, const NormStatistics*, int, real) {
  MPANET_CHECK(false, "expected what conv_epilogue_sums() says");
}
void batch_norm_finish_gradients(Stream, const real*, const EpilogueSums&, int, real, const NormInput&,
                                 const NormGradient&, const NormInput&, const NormGradient&, real*) {
  MPANET_CHECK(false, "expected what conv_epilogue_sums() says");
}

void batch_norm_fold(Stream, int c, const real* mean, const real* variance, real eps, const real* weight,
                     const real* bias, real* scale, real* shift) {
  for (int j = 0; j < c; j++) {
    scale[j] = weight[j] / std::sqrt(variance[j] + eps);
    shift[j] = bias[j] - mean[j] * scale[j];
  }
}

}  // namespace mpanet::PRECISION::cpu
