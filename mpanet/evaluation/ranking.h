// Ranked lists and their metrics: CMC, mAP and mINP of every setting and trial of a plan.
//
// Images rank by descending similarity (similarity.h), equal ones in gallery order. Each similarity is computed once
// for all settings and trials, a block of queries at a time: memory is the embeddings, a normalised copy of the
// gallery's and one block, never queries x gallery. Results have the same bits for any number of threads.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/device.h"
#include "mpanet/evaluation/scores.h"
#include "mpanet/evaluation/similarity.h"

namespace mpanet {

// Memory in bytes for ranking one plan after another, with the embeddings of all their images. If there are several
// plans, the embeddings of a plan's images are copied for its ranking.
size_t ranking_bytes(const std::vector<EvaluationPlan>& plans, int dimension);

// Memory in bytes for rank_on_device() with the largest number of queries and of gallery images: a device's besides the
// embeddings, and the host's.
struct DeviceRankingBytes {
  size_t device = 0, host = 0;
};
DeviceRankingBytes device_ranking_bytes(Device device, size_t queries, size_t gallery, int dimension);

// One result per setting of the plan, in its order; re-ranked if plan.rerank is set.
//
// `device`: where similarities are computed and sorted; scores and re-ranking are always computed on the CPU. A GPU
// adds up products in another order, so images whose similarities differ by rounding may be ranked in another order;
// images with equal embeddings stay in gallery order. A gallery that does not fit in the GPU's free memory is ranked on
// the CPU, with one line on stderr.
std::vector<SettingResult> rank_embeddings(const EvaluationPlan& plan, const Embeddings& embeddings,
                                           Device device = Backend::cpu);

// The embeddings on the device, copied there if they are not. Null, with one line on stderr, when they do not fit in
// the GPU's free memory.
std::shared_ptr<const DeviceEmbeddings> put_on_device(const Embeddings& embeddings, Device device);

// As rank_embeddings() on the device of `embeddings`. rows: the plan's images among them, queries and then gallery.
// Nothing, with one line on stderr, when the ranking does not fit in the GPU's free memory. CheckError for a plan that
// re-ranks.
std::optional<std::vector<SettingResult>> rank_on_device(const EvaluationPlan& plan, const DeviceEmbeddings& embeddings,
                                                         const std::vector<int32_t>& rows);

// For each of `queries` (indices into plan.queries) the first `count` gallery images (indices into plan.gallery) that
// it does not ignore in one trial of a setting; fewer if the gallery is smaller. Never re-ranked.
std::vector<std::vector<int>> top_matches(const EvaluationPlan& plan, const Embeddings& embeddings,
                                          const std::vector<int>& queries, int setting, int trial, int count);

}  // namespace mpanet
