#include "mpanet/evaluation/rerank.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "core/base/error.h"
#include "mpanet/evaluation/descending_sort.h"
#include "mpanet/evaluation/distance_matrix.h"
#include "mpanet/evaluation/list_scorer.h"
#include "mpanet/evaluation/parallel.h"

namespace mpanet {
namespace {

// Images are numbered as in the embeddings: queries, then gallery. Candidates are the images that can be
// neighbours; they have their own numbers, 0..candidates-1.

constexpr int kListed = kRerankNeighbours + 1;
// round(k1 / 2), half to even, and the image itself.
constexpr int kHalfListed = kRerankNeighbours / 2 + (kRerankNeighbours % 4 == 3) + 1;

// A row's `count` nearest by (distance, number), the nearest first.
class Nearest {
 public:
  explicit Nearest(int count) : count_(count) { heap_.reserve(count); }
  void offer(float distance, int number) {
    const uint64_t item = uint64_t{~descending_key(distance)} << 32 | static_cast<uint32_t>(number);
    if (static_cast<int>(heap_.size()) == count_) {
      if (item >= heap_.front()) return;
      std::pop_heap(heap_.begin(), heap_.end());
      heap_.back() = item;
    } else {
      heap_.push_back(item);
    }
    std::push_heap(heap_.begin(), heap_.end());
  }
  // Writes the numbers and becomes empty.
  void take(int* out) {
    std::sort_heap(heap_.begin(), heap_.end());
    for (const uint64_t item : heap_) *out++ = static_cast<int>(item & 0xffffffffu);
    heap_.clear();
  }

 private:
  int count_;
  std::vector<uint64_t> heap_;  // the farthest in front
};

// A trial's images, and the lists that depend only on its candidates.
struct Neighbourhood {
  std::vector<int> candidates;             // images
  std::vector<std::vector<int>> expanded;  // per candidate: the expanded R, ascending candidates
  std::vector<int> first;                  // (images, k2): the nearest candidates, of the trial's images

  std::span<const int> first_of(int image) const {
    return {first.data() + static_cast<size_t>(image) * kRerankExpansion, kRerankExpansion};
  }
};

// Candidates among the first `listed` of `own` whose list has `of` within as many: R (listed k1 + 1) or C.
void reciprocal(const std::vector<int>& lists, int of, int listed, std::vector<int>& out) {
  out.clear();
  const int* own = lists.data() + static_cast<size_t>(of) * kListed;
  for (int i = 0; i < listed; i++) {
    const int* others = lists.data() + static_cast<size_t>(own[i]) * kListed;
    if (std::find(others, others + listed, of) != others + listed) out.push_back(own[i]);
  }
}

std::vector<int> expanded_set(const std::vector<int>& lists, int of) {
  std::vector<int> set, addition;
  reciprocal(lists, of, kListed, set);
  std::vector<int> result = set;
  for (const int c : set) {
    reciprocal(lists, c, kHalfListed, addition);
    const auto common = std::count_if(addition.begin(), addition.end(), [&](int candidate) {
      return std::find(set.begin(), set.end(), candidate) != set.end();
    });
    if (3 * common > 2 * static_cast<ptrdiff_t>(addition.size()))
      result.insert(result.end(), addition.begin(), addition.end());
  }
  std::sort(result.begin(), result.end());
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

// The nearest candidates of images that have no row in the matrix, from its columns.
void list_columns(const DistanceMatrix& distances, Neighbourhood& hood, int first_image) {
  const auto images = static_cast<int>(distances.columns());
  constexpr int kBlock = 256;
  const int blocks = (images - first_image + kBlock - 1) / kBlock;
  for_each_item(static_cast<size_t>(blocks), [&](size_t block) {
    const int begin = first_image + static_cast<int>(block) * kBlock, end = std::min(images, begin + kBlock);
    std::vector<Nearest> nearest(end - begin, Nearest(kRerankExpansion));
    for (size_t c = 0; c < hood.candidates.size(); c++) {
      const float* row = distances.row(hood.candidates[c]);
      for (int image = begin; image < end; image++) nearest[image - begin].offer(row[image], static_cast<int>(c));
    }
    for (int image = begin; image < end; image++)
      nearest[image - begin].take(hood.first.data() + static_cast<size_t>(image) * kRerankExpansion);
  });
}

Neighbourhood make_neighbourhood(const DistanceMatrix& distances, std::vector<int> candidates) {
  Neighbourhood hood;
  hood.candidates = std::move(candidates);
  const int count = static_cast<int>(hood.candidates.size());
  std::vector<int> lists(static_cast<size_t>(count) * kListed);
  hood.first.resize(distances.columns() * kRerankExpansion);
  hood.expanded.resize(count);
  const auto listing = [] { return Nearest(kListed); };
  for_each_item(hood.candidates.size(), listing, [&](size_t i, Nearest& nearest) {
    const float* row = distances.row(hood.candidates[i]);
    for (int c = 0; c < count; c++) nearest.offer(row[hood.candidates[c]], c);
    int* own = lists.data() + i * kListed;
    nearest.take(own);
    std::copy_n(own, kRerankExpansion,
                hood.first.begin() + static_cast<ptrdiff_t>(hood.candidates[i]) * kRerankExpansion);
  });
  for_each_item(hood.candidates.size(), [&](size_t i) { hood.expanded[i] = expanded_set(lists, static_cast<int>(i)); });
  if (distances.rows() < distances.columns()) list_columns(distances, hood, static_cast<int>(distances.rows()));
  return hood;
}

struct Weight {
  int candidate;
  float value;
};
using SparseRow = std::vector<Weight>;

// One trial: its images and weights.
class Trial {
 public:
  Trial(const EvaluationPlan& plan, const DistanceMatrix& distances, int column) : distances_(distances) {
    const int queries = static_cast<int>(plan.queries.size());
    for (int q = 0; q < queries; q++)
      if (plan.asked_in(q) >> column & 1) queries_.push_back(q);
    for (size_t g = 0; g < plan.drawn.size(); g++)
      if (plan.drawn[g] >> column & 1) gallery_.push_back(queries + static_cast<int>(g));
  }
  const std::vector<int>& queries() const { return queries_; }
  const std::vector<int>& gallery() const { return gallery_; }
  std::vector<int> all() const {
    std::vector<int> images = queries_;
    images.insert(images.end(), gallery_.begin(), gallery_.end());
    return images;
  }

  void prepare(const Neighbourhood& hood) {
    const std::vector<SparseRow> weights = candidate_weights(hood);
    query_weights_ = mean_weights(hood, weights, queries_);
    const std::vector<SparseRow> gallery = mean_weights(hood, weights, gallery_);
    by_candidate_.assign(hood.candidates.size(), {});
    for (size_t g = 0; g < gallery.size(); g++)
      for (const Weight& weight : gallery[g])
        by_candidate_[weight.candidate].push_back({static_cast<int>(g), weight.value});
  }

  // Final distances of a query (an index into queries()) to the trial's gallery.
  void final_distances(size_t query, std::span<float> out) const {
    std::fill(out.begin(), out.end(), 0.0f);
    for (const Weight& own : query_weights_[query])
      for (const Weight& image : by_candidate_[own.candidate]) out[image.candidate] += std::min(own.value, image.value);
    const float* row = distances_.row(queries_[query]);
    const double scale = 1 / largest_[query];
    for (size_t g = 0; g < out.size(); g++) {
      const double minima = out[g], jaccard = 1 - minima / (2 - minima);
      out[g] =
          static_cast<float>((1 - kRerankOriginalWeight) * jaccard + kRerankOriginalWeight * row[gallery_[g]] * scale);
    }
  }

 private:
  float largest_distance(int image) const {
    const float* row = distances_.row(image);
    float largest = 0;
    for (const auto* images : {&queries_, &gallery_})
      for (const int other : *images) largest = std::max(largest, row[other]);
    return largest > 0 ? largest : 1;  // all images are equal: their distances are zero
  }

  // exp(-original) over the expanded set, normalised to 1; the queries' maxima are kept.
  std::vector<SparseRow> candidate_weights(const Neighbourhood& hood) {
    std::vector<SparseRow> weights(hood.candidates.size());
    largest_.resize(queries_.size());
    for_each_item(weights.size(), [&](size_t c) {  // the trial's queries are the first candidates
      const float* row = distances_.row(hood.candidates[c]);
      const double largest = largest_distance(hood.candidates[c]);
      if (c < largest_.size()) largest_[c] = largest;
      double sum = 0;
      for (const int other : hood.expanded[c]) {
        const double weight = std::exp(-row[hood.candidates[other]] / largest);
        weights[c].push_back({other, static_cast<float>(weight)});
        sum += weight;
      }
      for (Weight& weight : weights[c]) weight.value = static_cast<float>(weight.value / sum);
    });
    return weights;
  }

  static std::vector<SparseRow> mean_weights(const Neighbourhood& hood, const std::vector<SparseRow>& weights,
                                             const std::vector<int>& images) {
    std::vector<SparseRow> means(images.size());
    struct Sums {
      std::vector<float> of;  // every candidate
      std::vector<int> touched;
    };
    const auto zeros = [&] { return Sums{std::vector<float>(hood.candidates.size()), {}}; };
    for_each_item(images.size(), zeros, [&](size_t i, Sums& sums) {
      for (const int neighbour : hood.first_of(images[i]))
        for (const Weight& weight : weights[neighbour]) {
          if (sums.of[weight.candidate] == 0) sums.touched.push_back(weight.candidate);
          sums.of[weight.candidate] += weight.value;
        }
      std::sort(sums.touched.begin(), sums.touched.end());
      for (const int candidate : sums.touched) {
        means[i].push_back({candidate, sums.of[candidate] / kRerankExpansion});
        sums.of[candidate] = 0;
      }
      sums.touched.clear();
    });
    return means;
  }

  const DistanceMatrix& distances_;
  std::vector<int> queries_, gallery_;    // images
  std::vector<double> largest_;           // per query
  std::vector<SparseRow> query_weights_;  // per query
  std::vector<SparseRow> by_candidate_;   // per candidate: indices into gallery_ with their weights
};

// The neighbourhood of a trial; kept for the next one with the same candidates.
class Neighbourhoods {
 public:
  Neighbourhoods(const EvaluationPlan& plan, const DistanceMatrix& distances) : plan_(plan), distances_(distances) {}
  const Neighbourhood& of(const Trial& trial) {
    std::vector<int> candidates = plan_.gallery_neighbours ? trial.all() : trial.queries();
    if (candidates != hood_.candidates) hood_ = make_neighbourhood(distances_, std::move(candidates));
    return hood_;
  }

 private:
  const EvaluationPlan& plan_;
  const DistanceMatrix& distances_;
  Neighbourhood hood_;
};

size_t matrix_rows(const EvaluationPlan& plan) {
  return plan.queries.size() + (plan.gallery_neighbours ? plan.gallery.size() : 0);
}

}  // namespace

size_t rerank_bytes(const EvaluationPlan& plan) {
  return matrix_rows(plan) * (plan.queries.size() + plan.gallery.size()) * sizeof(float);
}

void check_rerank(const EvaluationPlan& plan) {
  for (int column = 0; column < plan.columns(); column++) {
    size_t candidates = 0;
    for (size_t q = 0; q < plan.queries.size(); q++) candidates += plan.asked_in(q) >> column & 1;
    if (plan.gallery_neighbours)
      for (const uint64_t drawn : plan.drawn) candidates += drawn >> column & 1;
    if (candidates < kListed)
      fail("re-ranking looks for {} neighbours: expected at least {} {}, got {}", kRerankNeighbours, kListed,
           plan.gallery_neighbours ? "images" : "queries", candidates);
  }
}

std::vector<Score> score_reranked(const EvaluationPlan& plan, const Embeddings& embeddings) {
  check_rerank(plan);
  const DistanceMatrix distances(plan.distance, embeddings, matrix_rows(plan));
  Neighbourhoods neighbourhoods(plan, distances);
  const auto columns = static_cast<size_t>(plan.columns());
  std::vector<Score> scores(plan.queries.size() * columns);
  for (int column = 0; column < plan.columns(); column++) {
    Trial trial(plan, distances, column);
    trial.prepare(neighbourhoods.of(trial));
    const Candidates candidates(plan, column);
    struct Ranking {
      std::vector<float> finals;
      DescendingSort order;
      ListScorer scorer;
    };
    const auto make = [&] {
      return Ranking{std::vector<float>(trial.gallery().size()), {}, ListScorer(plan, candidates)};
    };
    for_each_item(trial.queries().size(), make, [&](size_t q, Ranking& own) {
      trial.final_distances(q, own.finals);
      for (float& value : own.finals) value = -value;
      const int query = trial.queries()[q];
      own.scorer.run(own.order.sort(own.finals), plan.queries[query], {&scores[query * columns + column], 1});
    });
  }
  return scores;
}

std::vector<float> reranked_distances(const EvaluationPlan& plan, const Embeddings& embeddings, int column) {
  check_rerank(plan);
  const DistanceMatrix distances(plan.distance, embeddings, matrix_rows(plan));
  Neighbourhoods neighbourhoods(plan, distances);
  Trial trial(plan, distances, column);
  trial.prepare(neighbourhoods.of(trial));
  const size_t gallery = trial.gallery().size();
  std::vector<float> finals(trial.queries().size() * gallery);
  for (size_t q = 0; q < trial.queries().size(); q++) trial.final_distances(q, {finals.data() + q * gallery, gallery});
  return finals;
}

}  // namespace mpanet
