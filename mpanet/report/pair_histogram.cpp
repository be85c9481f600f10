#include "mpanet/report/pair_histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/base/error.h"

namespace mpanet {
namespace {

constexpr size_t kFineBins = 1 << 15;

// The fine bin edge at which the two errors are nearest to each other.
void set_equal_error(const std::vector<uint64_t>& same, const std::vector<uint64_t>& different, double low,
                     double width, Histogram& histogram) {
  histogram.equal_error = histogram.equal_error_distance = std::numeric_limits<double>::quiet_NaN();
  if (histogram.same_pairs == 0 || histogram.different_pairs == 0) return;
  uint64_t nearer_same = 0, nearer_different = 0;
  double best = std::numeric_limits<double>::infinity();
  for (size_t bin = 0; bin <= same.size(); bin++) {
    const double missed = 1 - static_cast<double>(nearer_same) / static_cast<double>(histogram.same_pairs);
    const double confused = static_cast<double>(nearer_different) / static_cast<double>(histogram.different_pairs);
    if (std::abs(missed - confused) < best) {
      best = std::abs(missed - confused);
      histogram.equal_error = 50 * (missed + confused);
      histogram.equal_error_distance = low + static_cast<double>(bin) * width;
    }
    if (bin < same.size()) nearer_same += same[bin], nearer_different += different[bin];
  }
}

}  // namespace

PairCounter::PairCounter(double low, double high) : low_(low), high_(high), same_(kFineBins), different_(kFineBins) {
  MPANET_CHECK(high > low, "range {}..{}", low, high);
}

void PairCounter::add(double distance, bool same) {
  const double at = (distance - low_) / (high_ - low_) * static_cast<double>(kFineBins);
  const auto bin = static_cast<size_t>(std::clamp(at, 0.0, static_cast<double>(kFineBins - 1)));
  (same ? same_ : different_)[bin]++;
}

void PairCounter::add(const EvaluationPlan& plan, uint64_t columns, const ImageRecord& query,
                      std::span<const float> distances) {
  for (size_t g = 0; g < plan.gallery.size(); g++) {
    const ImageRecord& image = plan.gallery[g];
    if ((plan.drawn[g] & columns) == 0 || image.infrared == query.infrared) continue;
    if (plan.skips && plan.skips({query.identity, query.camera}, {image.identity, image.camera})) continue;
    add(distances[g], image.identity == query.identity);
  }
}

Histogram PairCounter::histogram(int bins) const {
  MPANET_CHECK(bins >= 1, "{} bins", bins);
  Histogram made;
  made.same_pairs = std::accumulate(same_.begin(), same_.end(), uint64_t{0});
  made.different_pairs = std::accumulate(different_.begin(), different_.end(), uint64_t{0});
  const auto occupied = [&](size_t bin) { return same_[bin] + different_[bin] > 0; };
  size_t first = 0, last = kFineBins - 1;
  while (first < last && !occupied(first)) first++;
  while (last > first && !occupied(last)) last--;
  const auto count = static_cast<size_t>(bins);
  const size_t each = (last - first) / count + 1;  // fine bins a bin
  const double width = (high_ - low_) / static_cast<double>(kFineBins);
  made.low = low_ + static_cast<double>(first) * width;
  made.high = made.low + static_cast<double>(each * count) * width;
  made.same.resize(count);
  made.different.resize(count);
  for (size_t bin = first; bin <= last; bin++) {
    const size_t to = (bin - first) / each;
    if (made.same_pairs > 0) made.same[to] += static_cast<double>(same_[bin]) / static_cast<double>(made.same_pairs);
    if (made.different_pairs > 0)
      made.different[to] += static_cast<double>(different_[bin]) / static_cast<double>(made.different_pairs);
  }
  set_equal_error(same_, different_, low_, width, made);
  return made;
}

}  // namespace mpanet
