#include "mpanet/evaluation/ranking.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <map>
#include <memory>
#include <span>
#include <utility>

#include "core/base/error.h"
#include "mpanet/evaluation/gemm_f32.h"

namespace mpanet {
namespace {

constexpr int kQueryBlock = 480;      // large enough that reading the gallery once per block costs little
constexpr float kZeroProduct = 0.5f;  // the product at distance 1, given to embeddings of zeros (see the header)
constexpr int kMaxColumns = 64;       // settings x trials, one bit each in EvaluationPlan::drawn

// Factors that scale rows to length 1; 0 for a row of zeros. Squares of float32 are summed in double: no overflow.
std::vector<double> unit_factors(const float* rows, int count, int dimension) {
  std::vector<double> factors(count);
#pragma omp parallel for schedule(static)
  for (int r = 0; r < count; r++) {
    const float* row = rows + static_cast<size_t>(r) * dimension;
    constexpr int kLanes = 8;
    double lanes[kLanes] = {}, sum = 0;
    const int whole = dimension / kLanes * kLanes;
    for (int i = 0; i < whole; i += kLanes)
      for (int l = 0; l < kLanes; l++) lanes[l] += static_cast<double>(row[i + l]) * row[i + l];
    for (int i = whole; i < dimension; i++) sum += static_cast<double>(row[i]) * row[i];
    for (const double lane : lanes) sum += lane;
    factors[r] = std::isfinite(sum) ? sum == 0 ? 0 : 1 / std::sqrt(sum) : -1;
  }
  const auto bad = std::find(factors.begin(), factors.end(), -1);
  MPANET_CHECK(bad == factors.end(), "embedding {} has a number that is not finite", bad - factors.begin());
  return factors;
}

// Sorts indices 0..products.size()-1 by descending product, equal ones by ascending index: a radix sort in three passes
// of 11 bits over (key, index) pairs. The result is in `items`, index in the lower half.
class DescendingSort {
 public:
  std::span<const uint64_t> sort(std::span<const float> products) {
    items_.resize(products.size());
    other_.resize(products.size());
    std::array<std::array<uint32_t, kBins>, kPasses> starts{};
    for (size_t i = 0; i < products.size(); i++) {
      const uint32_t key = descending_key(products[i]);
      items_[i] = uint64_t{key} << 32 | i;
      for (int pass = 0; pass < kPasses; pass++) starts[pass][bin(key, pass)]++;
    }
    for (auto& counts : starts) {
      uint32_t total = 0;
      for (uint32_t& count : counts) total += std::exchange(count, total);
    }
    for (int pass = 0; pass < kPasses; pass++) {
      for (const uint64_t item : items_) other_[starts[pass][bin(item >> 32, pass)]++] = item;
      items_.swap(other_);
    }
    return items_;
  }

 private:
  static constexpr int kPasses = 3, kBits = 11, kBins = 1 << kBits;
  static size_t bin(uint64_t key, int pass) { return key >> (pass * kBits) & (kBins - 1); }
  // A smaller key means a larger number. -0 and 0 have the same key.
  static uint32_t descending_key(float product) {
    const uint32_t bits = std::bit_cast<uint32_t>(0.0f - product);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  }
  std::vector<uint64_t> items_, other_;
};

// The part of a gallery image's record that scoring reads, contiguous in memory.
struct Candidate {
  uint64_t drawn = 0;
  int32_t identity = 0;  // 0..identities-1
  int32_t camera = 0;
};

// The contribution of one query to one column (setting and trial).
struct Score {
  double average_precision = 0, inverse_penalty = 0;
  int32_t first = -1;  // number of other identities ranked before the first match; -1: no match
};

// Scores one query's ranked list for all columns in one pass.
class ListScorer {
 public:
  explicit ListScorer(int identities) : seen_(identities) {}

  void run(std::span<const uint64_t> ranked, const std::vector<Candidate>& candidates, int identity, int camera,
           bool (*skips)(int, int), std::span<Score> scores) {
    std::fill(seen_.begin(), seen_.end(), 0);
    ranked_.fill(0), right_.fill(0), wrong_identities_.fill(0), last_.fill(0), precision_.fill(0);
    uint64_t searching = ~uint64_t{0};  // bit c: column c has had no match yet
    for (const uint64_t item : ranked) {
      const Candidate& candidate = candidates[static_cast<uint32_t>(item)];
      if (skips && skips(camera, candidate.camera)) continue;
      for (uint64_t rest = candidate.drawn; rest; rest &= rest - 1) ranked_[std::countr_zero(rest)]++;
      if (candidate.identity == identity) {
        for (uint64_t rest = candidate.drawn; rest; rest &= rest - 1) {
          const int column = std::countr_zero(rest);
          last_[column] = ranked_[column];
          precision_[column] += static_cast<double>(++right_[column]) / ranked_[column];
        }
        searching &= ~candidate.drawn;
      } else if (const uint64_t fresh = candidate.drawn & searching & ~seen_[candidate.identity]) {
        seen_[candidate.identity] |= fresh;
        for (uint64_t rest = fresh; rest; rest &= rest - 1) wrong_identities_[std::countr_zero(rest)]++;
      }
    }
    for (size_t column = 0; column < scores.size(); column++) {
      if (right_[column] == 0) continue;
      scores[column] = {precision_[column] / right_[column], static_cast<double>(right_[column]) / last_[column],
                        wrong_identities_[column]};
    }
  }

 private:
  std::vector<uint64_t> seen_;  // per identity: bit c is set when column c has counted it
  std::array<int32_t, kMaxColumns> ranked_, right_, wrong_identities_, last_;
  std::array<double, kMaxColumns> precision_;
};

// The gallery, prepared for ranking.
struct Gallery {
  std::vector<Candidate> candidates;
  std::map<int, int> index_of;  // identity -> 0..identities-1
  PackedRows unit;              // embeddings of length 1
  std::vector<int> zeros;       // images whose embedding is zero
};

Gallery make_gallery(const EvaluationPlan& plan, const Embeddings& embeddings) {
  const int count = static_cast<int>(plan.gallery.size());
  Gallery gallery{{}, {}, PackedRows(PackedRows::Side::Right, count, embeddings.dimension), {}};
  for (int g = 0; g < count; g++) {
    const ImageRecord& image = plan.gallery[g];
    const int next = static_cast<int>(gallery.index_of.size());
    const int identity = gallery.index_of.emplace(image.identity, next).first->second;
    gallery.candidates.push_back({plan.drawn[g], identity, image.camera});
  }
  const float* rows = embeddings.row(plan.queries.size());
  const std::vector<double> factors = unit_factors(rows, count, embeddings.dimension);
  gallery.unit.assign(rows, factors.data(), count);
  for (int g = 0; g < count; g++)
    if (factors[g] == 0) gallery.zeros.push_back(g);
  return gallery;
}

// Inner products of a block of queries with the whole gallery.
class BlockProducts {
 public:
  BlockProducts(const Gallery& gallery, int max_queries, int dimension)
      : gallery_(gallery), unit_(PackedRows::Side::Left, max_queries, dimension), dimension_(dimension) {}

  void compute(const float* queries, int count) {
    unit_.assign(queries, unit_factors(queries, count, dimension_).data(), count);
    stride_ = gallery_.unit.padded_rows();
    products_.resize(unit_.padded_rows() * stride_);
    multiply(unit_, gallery_.unit, products_.data(), stride_);
    for (int q = 0; q < count; q++)
      for (const int g : gallery_.zeros) products_[q * stride_ + g] = kZeroProduct;
  }

  std::span<const float> of(int query) const {
    return {products_.data() + query * stride_, gallery_.candidates.size()};
  }

 private:
  const Gallery& gallery_;
  PackedRows unit_;
  int dimension_;
  size_t stride_ = 0;
  std::vector<float> products_;
};

void check_shapes(const EvaluationPlan& plan, const Embeddings& embeddings) {
  const size_t columns = plan.settings.size() * plan.trials, dimension = embeddings.dimension;
  MPANET_CHECK(columns >= 1 && columns <= kMaxColumns, "expected 1 to {} settings x trials, got {}", kMaxColumns,
               columns);
  MPANET_CHECK(plan.drawn.size() == plan.gallery.size(), "{} masks for {} images", plan.drawn.size(),
               plan.gallery.size());
  const size_t images = plan.queries.size() + plan.gallery.size();
  MPANET_CHECK(dimension >= 1 && embeddings.values.size() == images * dimension,
               "{} images of {} numbers need another size than {}", images, dimension, embeddings.values.size());
}

// Every query's score in every column: (queries, columns).
std::vector<Score> score_queries(const EvaluationPlan& plan, const Embeddings& embeddings) {
  const int queries = static_cast<int>(plan.queries.size());
  const int columns = static_cast<int>(plan.settings.size()) * plan.trials;
  const Gallery gallery = make_gallery(plan, embeddings);
  const int largest_block = std::min(queries, kQueryBlock);
  BlockProducts products(gallery, largest_block, embeddings.dimension);
  std::vector<Score> scores(static_cast<size_t>(queries) * columns);
  for (int first = 0; first < queries; first += largest_block) {
    const int count = std::min(largest_block, queries - first);
    products.compute(embeddings.row(first), count);
#pragma omp parallel
    {
      DescendingSort order;
      ListScorer scorer(static_cast<int>(gallery.index_of.size()));
#pragma omp for schedule(dynamic, 8)
      for (int q = 0; q < count; q++) {
        const ImageRecord& query = plan.queries[first + q];
        const auto known = gallery.index_of.find(query.identity);
        scorer.run(order.sort(products.of(q)), gallery.candidates, known == gallery.index_of.end() ? -1 : known->second,
                   query.camera, plan.skips,
                   {scores.data() + static_cast<size_t>(first + q) * columns, static_cast<size_t>(columns)});
      }
    }
  }
  return scores;
}

// Sums a column in query order, so that the result does not depend on the number of threads.
Metrics column_metrics(const std::vector<Score>& scores, int columns, int column, int& without_match) {
  Metrics metrics;
  int counted = 0;
  without_match = 0;
  for (size_t i = column; i < scores.size(); i += columns) {
    const Score& score = scores[i];
    if (score.first < 0) {
      without_match++;
      continue;
    }
    counted++;
    metrics.rank1 += score.first < 1;
    metrics.rank5 += score.first < 5;
    metrics.rank10 += score.first < 10;
    metrics.rank20 += score.first < 20;
    metrics.mAP += score.average_precision;
    metrics.mINP += score.inverse_penalty;
  }
  for (const auto& metric : kMetrics) metrics.*metric.value *= 100.0 / counted;  // NaN when counted is 0
  return metrics;
}

}  // namespace

std::vector<SettingResult> rank_embeddings(const EvaluationPlan& plan, const Embeddings& embeddings) {
  check_shapes(plan, embeddings);
  const int columns = static_cast<int>(plan.settings.size()) * plan.trials;
  const std::vector<Score> scores = score_queries(plan, embeddings);
  std::vector<SettingResult> results;
  for (size_t s = 0; s < plan.settings.size(); s++) {
    SettingResult result;
    result.setting = plan.settings[s];
    result.queries = static_cast<int>(plan.queries.size());
    for (int trial = 0; trial < plan.trials; trial++) {
      const int column = static_cast<int>(s) * plan.trials + trial;
      int without_match = 0, gallery = 0;
      result.trials.push_back(column_metrics(scores, columns, column, without_match));
      for (const uint64_t drawn : plan.drawn) gallery += static_cast<int>(drawn >> column & 1);
      MPANET_CHECK(trial == 0 || (gallery == result.gallery && without_match == result.queries_without_match),
                   "trial {} has {} gallery images and {} queries without a match, trial 0 has {} and {}", trial,
                   gallery, without_match, result.gallery, result.queries_without_match);
      result.gallery = gallery;
      result.queries_without_match = without_match;
      for (const auto& metric : kMetrics) result.mean.*metric.value += result.trials.back().*metric.value / plan.trials;
    }
    results.push_back(std::move(result));
  }
  return results;
}

std::vector<std::vector<int>> top_matches(const EvaluationPlan& plan, const Embeddings& embeddings,
                                          const std::vector<int>& queries, int setting, int trial, int count) {
  check_shapes(plan, embeddings);
  const int column = setting * plan.trials + trial;
  std::vector<float> rows;
  for (const int q : queries) {
    rows.insert(rows.end(), embeddings.row(q), embeddings.row(q + 1));
  }
  const Gallery gallery = make_gallery(plan, embeddings);
  BlockProducts products(gallery, static_cast<int>(queries.size()), embeddings.dimension);
  products.compute(rows.data(), static_cast<int>(queries.size()));
  std::vector<std::vector<int>> matches(queries.size());
  DescendingSort order;
  for (size_t i = 0; i < queries.size(); i++)
    for (const uint64_t item : order.sort(products.of(static_cast<int>(i)))) {
      const int g = static_cast<int>(item & 0xffffffffu);
      const int camera = plan.queries[queries[i]].camera;
      if (!(plan.drawn[g] >> column & 1) || (plan.skips && plan.skips(camera, plan.gallery[g].camera))) continue;
      if (static_cast<int>(matches[i].size()) == count) break;
      matches[i].push_back(g);
    }
  return matches;
}

}  // namespace mpanet
