#include "mpanet/evaluation/ranking.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <span>
#include <utility>

#include "core/base/error.h"
#include "core/base/output.h"
#include "core/base/progress.h"
#include "mpanet/evaluation/descending_sort.h"
#include "mpanet/evaluation/list_scorer.h"
#include "mpanet/evaluation/parallel.h"
#include "mpanet/evaluation/rerank.h"
#include "mpanet/network/ranker.h"

namespace mpanet {
namespace {

constexpr int kQueryBlock = 480;  // large enough that reading the gallery once per block costs little

// The largest squared length of all rows, which Euclidean similarities need.
double largest_square(const EvaluationPlan& plan, const Embeddings& embeddings) {
  if (plan.distance != Distance::Euclidean) return 0;
  const size_t rows = plan.queries.size() + plan.gallery.size();
  const std::vector<double> squares = squared_lengths(embeddings.row(0), rows, embeddings.dimension);
  return *std::max_element(squares.begin(), squares.end());
}

// Similarities of a block of queries with the whole gallery. For an image that the query ignores: any finite number.
class BlockSimilarities {
 public:
  BlockSimilarities(const EvaluationPlan& plan, const Embeddings& embeddings, int max_queries)
      : plan_(plan),
        largest_(largest_square(plan, embeddings)),
        gallery_(plan.distance, largest_, PackedRows::Side::Right, static_cast<int>(plan.gallery.size()),
                 embeddings.dimension),
        queries_(plan.distance, largest_, PackedRows::Side::Left, max_queries, embeddings.dimension) {
    gallery_.assign(embeddings.row(plan.queries.size()), static_cast<int>(plan.gallery.size()));
  }

  // indices: the queries' indices in plan.queries.
  void compute(const float* queries, std::span<const int> indices) {
    queries_.assign(queries, static_cast<int>(indices.size()));
    stride_ = gallery_.padded_rows();
    values_.resize(queries_.padded_rows() * stride_);
    similarities(queries_, gallery_, values_.data(), stride_, wanted(indices));
  }

  std::span<const float> of(int query) const {
    return {values_.data() + query * stride_, static_cast<size_t>(gallery_.rows())};
  }

 private:
  // Whether a query of the block does not ignore a gallery image.
  PairFilter wanted(std::span<const int> indices) const {
    if (!plan_.skips) return {};
    return [this, indices](int q, int g) {
      const ImageRecord &query = plan_.queries[indices[q]], &image = plan_.gallery[g];
      return !plan_.skips({query.identity, query.camera}, {image.identity, image.camera});
    };
  }

  const EvaluationPlan& plan_;
  double largest_;
  SimilarityRows gallery_, queries_;
  size_t stride_ = 0;
  std::vector<float> values_;
};

void check_shapes(const EvaluationPlan& plan) {
  const size_t columns = plan.columns();
  MPANET_CHECK(columns >= 1 && columns <= kMaxColumns, "expected 1 to {} settings x trials, got {}", kMaxColumns,
               columns);
  MPANET_CHECK(plan.drawn.size() == plan.gallery.size(), "{} masks for {} images", plan.drawn.size(),
               plan.gallery.size());
  MPANET_CHECK(plan.asked.empty() || plan.asked.size() == plan.queries.size(), "{} masks for {} queries",
               plan.asked.size(), plan.queries.size());
}

void check_shapes(const EvaluationPlan& plan, const Embeddings& embeddings) {
  check_shapes(plan);
  const size_t dimension = embeddings.dimension;
  const size_t images = plan.queries.size() + plan.gallery.size();
  MPANET_CHECK(dimension >= 1 && embeddings.values.size() == images * dimension,
               "{} images of {} numbers need another size than {}", images, dimension, embeddings.values.size());
}

// For each query of a block, the gallery's indices in ranked order, computed on a GPU.
class DeviceOrders {
 public:
  DeviceOrders(const EvaluationPlan& plan, const DeviceEmbeddings& embeddings, const std::vector<int32_t>& rows,
               int max_queries)
      : gallery_(plan.gallery.size()), rows_(rows) {
    std::vector<double> squares;
    for (const int32_t row : rows) squares.push_back(embeddings.squares.at(static_cast<size_t>(row)));
    check_squares(squares);
    const double largest = *std::max_element(squares.begin(), squares.end());
    factors_ = row_factors(plan.distance, squares, largest);
    const std::vector<float> offsets = row_offsets(plan.distance, squares, factors_);
    const auto queries = static_cast<ptrdiff_t>(plan.queries.size());
    size_t needed = 0;
    ranker_ = make_ranker(*embeddings.rows,
                          {{rows.begin() + queries, rows.end()},
                           {factors_.begin() + queries, factors_.end()},
                           {offsets.begin() + queries, offsets.end()}},
                          max_queries, &needed);
    if (ranker_ == nullptr) tell_too_small(embeddings.rows->device(), needed);
    order_.resize(static_cast<size_t>(max_queries) * gallery_);
  }
  static void tell_too_small(Device device, size_t needed) {
    note(fmt::format("{}: ranking takes {} of memory, which are not free; it is done on the CPU", name_of(device),
                     format_bytes(static_cast<double>(needed))));
  }
  bool available() const { return ranker_ != nullptr; }

  void compute(int first, int count) {
    ranker_->rank(rows_.data() + first, factors_.data() + first, count, order_.data());
  }
  std::span<const int32_t> of(size_t query) const { return {order_.data() + query * gallery_, gallery_}; }

 private:
  const size_t gallery_;
  const std::vector<int32_t>& rows_;
  std::vector<double> factors_;  // of rows_
  std::unique_ptr<Ranker> ranker_;
  std::vector<int32_t> order_;
};

// Every query's score in every column: (queries, columns).
std::vector<Score> score_queries(const EvaluationPlan& plan, const Embeddings& embeddings) {
  const int queries = static_cast<int>(plan.queries.size());
  const auto columns = static_cast<size_t>(plan.columns());
  const Candidates candidates(plan);
  const int largest_block = std::min(queries, kQueryBlock);
  BlockSimilarities block(plan, embeddings, largest_block);
  std::vector<Score> scores(queries * columns);
  std::vector<int> indices(queries);
  std::iota(indices.begin(), indices.end(), 0);
  struct Ranking {
    DescendingSort order;
    ListScorer scorer;
  };
  const auto make = [&] { return Ranking{{}, ListScorer(plan, candidates)}; };
  for (int first = 0; first < queries; first += largest_block) {
    const int count = std::min(largest_block, queries - first);
    block.compute(embeddings.row(first), std::span(indices).subspan(first, count));
    for_each_item(static_cast<size_t>(count), make, [&](size_t q, Ranking& own) {
      const size_t query = static_cast<size_t>(first) + q;
      own.scorer.run(own.order.sort(block.of(static_cast<int>(q))), plan.queries[query],
                     {scores.data() + query * columns, columns});
    });
  }
  return scores;
}

}  // namespace

size_t ranking_bytes(const std::vector<EvaluationPlan>& plans, int dimension) {
  size_t most = 0;
  for (const EvaluationPlan& plan : plans) {
    const size_t gallery = plan.gallery.size(), images = plan.queries.size() + gallery;
    most = std::max(most, (images + gallery + kQueryBlock) * dimension * sizeof(float) +
                              kQueryBlock * gallery * sizeof(float) +
                              plan.queries.size() * plan.columns() * sizeof(Score) + gallery * 64);
  }
  return plans.size() < 2 ? most : most + images_of(plans).size() * dimension * sizeof(float);
}

DeviceRankingBytes device_ranking_bytes(Device device, size_t queries, size_t gallery, int dimension) {
  if (queries == 0 || gallery == 0) return {};
  const size_t block = std::min(queries, static_cast<size_t>(kQueryBlock));
  return {ranker_bytes(device, gallery, dimension, static_cast<int>(block)), block * gallery * sizeof(int32_t)};
}

std::vector<SettingResult> rank_embeddings(const EvaluationPlan& plan, const Embeddings& embeddings, Device device) {
  check_shapes(plan, embeddings);
  if (plan.rerank) return summarise(plan, score_reranked(plan, embeddings));
  if (device.backend != Backend::cpu) {
    std::vector<int32_t> rows(plan.queries.size() + plan.gallery.size());
    std::iota(rows.begin(), rows.end(), 0);
    if (const auto there = put_on_device(embeddings, device))
      if (const auto results = rank_on_device(plan, *there, rows)) return *results;
  }
  return summarise(plan, score_queries(plan, embeddings));
}

std::shared_ptr<const DeviceEmbeddings> put_on_device(const Embeddings& embeddings, Device device) {
  if (embeddings.on_device) return embeddings.on_device;
  const size_t needed = embeddings.values.size() * sizeof(float);
  if (device.backend == Backend::cuda && needed > Context(device).memory_use().free) {
    DeviceOrders::tell_too_small(device, needed);
    return nullptr;
  }
  auto rows = std::make_shared<const DeviceRows>(device, embeddings.values, embeddings.dimension);
  std::vector<double> squares = squares_on_device(*rows);
  return std::make_shared<const DeviceEmbeddings>(DeviceEmbeddings{std::move(rows), std::move(squares)});
}

std::optional<std::vector<SettingResult>> rank_on_device(const EvaluationPlan& plan, const DeviceEmbeddings& embeddings,
                                                         const std::vector<int32_t>& rows) {
  check_shapes(plan);
  MPANET_CHECK(!plan.rerank && rows.size() == plan.queries.size() + plan.gallery.size(),
               "expected a plan of {} images without re-ranking", rows.size());
  const int queries = static_cast<int>(plan.queries.size()), largest_block = std::min(queries, kQueryBlock);
  const auto columns = static_cast<size_t>(plan.columns());
  std::vector<Score> scores(static_cast<size_t>(queries) * columns);
  if (plan.queries.empty() || plan.gallery.empty()) return summarise(plan, scores);
  DeviceOrders block(plan, embeddings, rows, largest_block);
  if (!block.available()) return {};
  const Candidates candidates(plan);
  struct Ranking {
    std::vector<uint64_t> ranked;
    ListScorer scorer;
  };
  const auto make = [&] { return Ranking{{}, ListScorer(plan, candidates)}; };
  for (int first = 0; first < queries; first += largest_block) {
    const int count = std::min(largest_block, queries - first);
    block.compute(first, count);
    for_each_item(static_cast<size_t>(count), make, [&](size_t q, Ranking& own) {
      const std::span<const int32_t> order = block.of(q);
      own.ranked.assign(order.begin(), order.end());
      const size_t query = static_cast<size_t>(first) + q;
      own.scorer.run(own.ranked, plan.queries[query], {scores.data() + query * columns, columns});
    });
  }
  return summarise(plan, scores);
}

std::vector<std::vector<int>> top_matches(const EvaluationPlan& plan, const Embeddings& embeddings,
                                          const std::vector<int>& queries, int setting, int trial, int count) {
  check_shapes(plan, embeddings);
  const int column = setting * plan.trials + trial;
  std::vector<float> rows;
  for (const int q : queries) {
    rows.insert(rows.end(), embeddings.row(q), embeddings.row(q + 1));
  }
  BlockSimilarities block(plan, embeddings, static_cast<int>(queries.size()));
  block.compute(rows.data(), queries);
  std::vector<std::vector<int>> matches(queries.size());
  DescendingSort order;
  for (size_t i = 0; i < queries.size(); i++)
    for (const uint64_t item : order.sort(block.of(static_cast<int>(i)))) {
      const int g = static_cast<int>(item & 0xffffffffu);
      const ImageRecord &query = plan.queries[queries[i]], &image = plan.gallery[g];
      if (!(plan.drawn[g] >> column & 1)) continue;
      if (plan.skips && plan.skips({query.identity, query.camera}, {image.identity, image.camera})) continue;
      if (static_cast<int>(matches[i].size()) == count) break;
      matches[i].push_back(g);
    }
  return matches;
}

}  // namespace mpanet
