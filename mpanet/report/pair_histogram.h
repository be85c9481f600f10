// How well distances separate pairs of the same person from pairs of different persons, across the modalities.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "mpanet/evaluation/plan.h"

namespace mpanet {

struct Histogram {
  double low = 0, high = 0;             // the range of all bins, which are equally wide
  std::vector<double> same, different;  // per bin: fraction of the pairs of its kind, 0..1
  uint64_t same_pairs = 0, different_pairs = 0;
  // The error at the distance where as many same pairs lie beyond it as different pairs below it, in percent, and that
  // distance. NaN if there are no pairs of one kind.
  double equal_error = 0, equal_error_distance = 0;
};

// Counts pairs of a query and a gallery image of the other modality that the query does not ignore.
class PairCounter {
 public:
  // `low`, `high`: the range of distances; pairs outside it count in the first or last bin.
  PairCounter(double low, double high);
  // Distances of one query to every gallery image of the plan (visit_distances()). Images with no bit of `columns` in
  // plan.drawn are left out.
  void add(const EvaluationPlan& plan, uint64_t columns, const ImageRecord& query, std::span<const float> distances);
  void add(double distance, bool same);
  // `bins` equally wide bins, of which the first and last hold a pair.
  Histogram histogram(int bins) const;

 private:
  double low_, high_;
  std::vector<uint64_t> same_, different_;  // fine bins
};

}  // namespace mpanet
