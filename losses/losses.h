// The training losses (docs/method.md, section 2). Each is a scalar tensor, computed in real and never in storage.
// Features f are (N, D), labels (N) class indices, infrared (N) flags. A term that a batch does not define is 0 with
// zero gradients. No loss is NaN or infinite for finite input.
#pragma once
#include <vector>

#include "layers/parameter.h"
#include "layers/tensors.h"

namespace mpanet::PRECISION {

// Overlap of the pattern maps (N, H W, P), P >= 2: mean over images and pairs of the maps' inner product.
RealTensor separation_loss(Context& context, const RealTensor& masks);
// Center cluster loss (paper section 3.4): the distance of each sample to its identity's center, plus the hinge on the
// distance between centers.
RealTensor center_cluster_loss(Context& context, const RealTensor& f, const LabelTensor& labels, double margin);
// Batch-hard triplet loss.
RealTensor triplet_loss(Context& context, const RealTensor& f, const LabelTensor& labels, double margin);
// Center loss: squared distances to learned centers (K, D), divided by N K.
RealTensor center_loss(Context& context, const RealTensor& f, const LabelTensor& labels, Parameter& centers);
// Cross entropy of logits, over all rows.
RealTensor cross_entropy(Context& context, const Logits& logits, const LabelTensor& labels);
// The same over the rows of one modality: those whose infrared flag equals `which`.
RealTensor cross_entropy_of(Context& context, const Logits& logits, const LabelTensor& labels,
                            const FlagTensor& infrared, int which);
// Mutual mean learning: KL of the live classifier of a row's own modality from the other modality's teacher.
RealTensor mutual_kl(Context& context, const Logits& live_visible, const Logits& live_infrared,
                     const Logits& teacher_visible, const Logits& teacher_infrared, const FlagTensor& infrared);

struct WeightedTerm {
  RealTensor value;
  double weight;
};
// Sum of weight * value, added in the order given; at most eight terms. record: null, or device memory for the terms'
// values and, after them, the total.
RealTensor weighted_sum(Context& context, const std::vector<WeightedTerm>& terms, real* record = nullptr);

}  // namespace mpanet::PRECISION
