// Calls of the stem's convolutions (conv_stem.cu), for the launchers of convolution: 16-bit pictures of 3 channels
// under 7x7 filters with stride 2 and padding 3, up to 64 of them, a multiple of 8. Forward and the gradient of the
// weights.
#pragma once
#include "kernels/cuda/plan.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

// Whether conv_stem.cu computes a pass of this shape. Not of very wide pictures: all rows that 128 outputs need must
// fit into shared memory.
bool stem_takes(const ConvShape& s, ConvPass pass);
// The depth of a split is a multiple of kStemStep pixels. conv.cu's kernels can run the same plan.
constexpr int kStemStep = 128;
ProductPlan stem_plan(const ConvShape& s, ConvPass pass, const ForcedPlan& forced);
// They run such a plan, splits not yet added. Addresses are aligned to 16.
// moments: of ConvEpilogue, or null.
void stem_forward(Stream stream, const ConvShape& s, const storage* x, const storage* w, const ProductPlan& plan,
                  real* moments, const Output<storage>& y);
void stem_backward_weights(Stream stream, const ConvShape& s, const storage* x, const storage* dy,
                           const ProductPlan& plan, const Output<real>& dw);

}  // namespace mpanet::PRECISION::KERNEL_NS
