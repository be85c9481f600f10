#include "mpanet/report/run_results.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/base/progress.h"
#include "core/base/random.h"
#include "mpanet/evaluation/distance_matrix.h"
#include "mpanet/evaluation/pair_distances.h"
#include "mpanet/report/tsne.h"

namespace mpanet {
namespace {

constexpr int kBins = 60;

// A range that holds all distances.
std::pair<double, double> distance_range(const EvaluationPlan& plan, const Embeddings& embeddings) {
  if (plan.distance == Distance::UnitEuclidean) return {0, 4};
  if (plan.distance == Distance::Cosine) return {-1, 1};
  const size_t rows = plan.queries.size() + plan.gallery.size();
  const std::vector<double> squares = squared_lengths(embeddings.row(0), rows, embeddings.dimension);
  const double largest = *std::max_element(squares.begin(), squares.end());
  return {0, std::max(4 * largest, 1e-30)};  // (|a| + |b|)^2
}

void measure_pairs(const EvaluationPlan& plan, const Embeddings& embeddings, RunResults& results) {
  const uint64_t columns = plan.trials == 64 ? ~uint64_t{0} : (uint64_t{1} << plan.trials) - 1;  // the first setting's
  const auto [low, high] = distance_range(plan, embeddings);
  PairCounter pairs(low, high);
  CameraCounter cameras(plan, 0);
  Progress progress("distances", "queries", plan.queries.size());
  visit_distances(plan, embeddings, [&](size_t q, std::span<const float> distances) {
    if (plan.asked_in(q) & columns) pairs.add(plan, columns, plan.queries[q], distances);
    cameras.add(q, distances);
    progress.advance();
  });
  results.pairs = pairs.histogram(kBins);
  results.cameras = cameras.matrix();
}

// Identities at equal distances by their number, among those with pictures of both modalities.
std::vector<int> coloured_identities(const std::vector<ImageRecord>& images) {
  std::map<int, int> seen;  // bit 0: visible, bit 1: infrared
  for (const ImageRecord& image : images) seen[image.identity] |= image.infrared ? 2 : 1;
  std::vector<int> both, chosen;
  for (const auto& [identity, modalities] : seen)
    if (modalities == 3) both.push_back(identity);
  const size_t count = std::min<size_t>(kStyles, both.size());
  for (size_t i = 0; i < count; i++) chosen.push_back(both[i * both.size() / count]);
  return chosen;
}

void lay_out(Distance distance, const std::vector<ImageRecord>& images, const Embeddings& embeddings,
             RunResults& results) {
  results.coloured = coloured_identities(images);
  const std::vector<size_t> sample = map_sample(images, results.coloured, kMapPoints);
  Embeddings rows;
  rows.dimension = embeddings.dimension;
  for (const size_t i : sample) rows.values.insert(rows.values.end(), embeddings.row(i), embeddings.row(i + 1));
  const DistanceMatrix matrix(distance, rows, sample.size());
  std::vector<float> squared;
  for (size_t i = 0; i < sample.size(); i++)
    squared.insert(squared.end(), matrix.row(i), matrix.row(i) + matrix.columns());
  const auto points = tsne(squared, sample.size());
  for (size_t i = 0; i < sample.size(); i++) results.map.push_back({points[i][0], points[i][1], images[sample[i]]});
}

}  // namespace

std::vector<int> curve_ranks() {
  std::vector<int> ranks;
  for (int rank = 2; rank < 20; rank++)
    if (rank != 5 && rank != 10) ranks.push_back(rank);
  return ranks;
}

std::vector<size_t> map_sample(const std::vector<ImageRecord>& images, const std::vector<int>& coloured, size_t most) {
  const std::set<int> first(coloured.begin(), coloured.end());
  std::vector<size_t> order(images.size());
  for (size_t i = 0; i < order.size(); i++) order[i] = i;
  Random random(1, Purpose::Chance, 3, 0);  // epochs 0 to 2 are used by evaluation and by tsne()
  random.shuffle(order);
  std::stable_partition(order.begin(), order.end(), [&](size_t i) { return first.count(images[i].identity) > 0; });
  if (order.size() > most) order.resize(most);
  std::sort(order.begin(), order.end());
  return order;
}

void measure(const std::vector<EvaluationPlan>& plans, const std::vector<ImageRecord>& images,
             const Embeddings& embeddings, size_t worst, RunResults& results) {
  std::vector<std::vector<SettingResult>> ranked = rank_plans(plans, images, embeddings);
  for (size_t i = 0; i < plans.size(); i++) {
    for (SettingResult& setting : ranked[i]) setting.per_query.clear();
    results.directions.push_back({plans[i].direction, std::move(ranked[i])});
  }
  const EvaluationPlan& plan = plans.front();
  results.protocol = plan.protocol;
  results.distance = words_of(plan.distance);
  results.split = plan.split;
  results.trials = plan.trials;
  results.more_ranks = plan.more_ranks;
  const Embeddings copy = plans.size() > 1 ? embeddings_of(plan, images, embeddings) : Embeddings();
  const Embeddings& own = plans.size() > 1 ? copy : embeddings;
  measure_pairs(plan, own, results);
  results.worst = worst_queries(plan, own, worst, kShownMatches);
  lay_out(plan.distance, images, embeddings, results);
}

}  // namespace mpanet
