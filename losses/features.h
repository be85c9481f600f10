// Common parts of the losses on features: center cluster, triplet, center.
#pragma once
#include "layers/tensors.h"

namespace mpanet::PRECISION {

inline void check_features(const RealTensor& f, const LabelTensor& labels) {
  MPANET_CHECK(f.shape().rank() == 2 && labels.shape() == Shape{f.dim(0)},
               "expected f (N, D) and labels (N), got {} and {}", f.shape().str(), labels.shape().str());
}

inline Scratch<> metric_workspace(Context& context, int n, int d) {
  return Scratch<>(context, static_cast<int64_t>(ASK_BACKEND(context, metric_workspace_bytes(n, d))));
}

}  // namespace mpanet::PRECISION
