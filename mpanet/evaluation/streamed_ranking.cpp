#include "mpanet/evaluation/streamed_ranking.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <map>
#include <optional>

#include "core/base/error.h"
#include "core/base/progress.h"
#include "mpanet/evaluation/descending_sort.h"
#include "mpanet/evaluation/list_scorer.h"

namespace mpanet {
namespace {

constexpr int kSmallestBlock = 48, kLargestBlock = 8192;  // gallery rows that are multiplied at a time
constexpr int kLargestGroup = 4096;                       // queries
constexpr int kNoImage = -1;

// A gallery image of the query's identity that it does not ignore. Ranked lists are in the order of `key`: descending
// similarity, then gallery index.
struct Right {
  uint64_t key = 0;
  uint64_t drawn = 0;
};

uint64_t rank_key(float similarity, int image) {
  return uint64_t{descending_key(similarity)} << 32 | static_cast<uint32_t>(image);
}

// The right images of one query and the counts so far.
class QueryState {
 public:
  QueryState(const EvaluationPlan& plan, const Candidates& candidates, const ImageRecord& query)
      : plan_(plan), candidates_(candidates), query_{candidates.index_of(query.identity), query.camera} {}

  bool sees(const Candidate& image) const {
    return !plan_.skips || !plan_.skips(query_, {image.identity, image.camera});
  }
  void add_right(float similarity, int image) {
    rights_.push_back({rank_key(similarity, image), candidates_.images[image].drawn});
  }

  // Called between the passes, when all right images are known.
  void prepare() {
    std::sort(rights_.begin(), rights_.end(), [](const Right& a, const Right& b) { return a.key < b.key; });
    before_.assign(rights_.size() * plan_.columns(), 0);
    searching_.assign(rights_.size(), 0);
    uint64_t searching = ~uint64_t{0};  // columns without a right image so far
    for (size_t place = 0; place < rights_.size(); place++) {
      searching_[place] = searching;
      searching &= ~rights_[place].drawn;
    }
    wrong_.assign(plan_.columns(), 0);
    if (plan_.cmc == CmcUnit::Identities) seen_.assign((candidates_.indices.size() * plan_.columns() + 63) / 64, 0);
  }

  // Counts the wrong images of a block that are ranked before a right one. similarities: with each of `images`.
  void count(const float* similarities, const std::vector<int>& images) {
    if (rights_.empty()) return;
    const uint64_t last = rights_.back().key;
    for (size_t i = 0; i < images.size(); i++) {
      const uint64_t key = rank_key(similarities[i], images[i]);
      if (key >= last) continue;
      const Candidate& image = candidates_.images[images[i]];
      if (image.identity != query_.identity && sees(image)) count_wrong(key, image);
    }
  }

  void write_scores(std::span<Score> scores) const {
    for (size_t column = 0; column < scores.size(); column++) {
      int32_t ranked = 0, right = 0, last = 0;
      double precision = 0;
      for (size_t place = 0; place < rights_.size(); place++) {
        ranked += before_[place * scores.size() + column];
        if (!(rights_[place].drawn >> column & 1)) continue;
        last = ++ranked;
        precision += static_cast<double>(++right) / ranked;
      }
      if (right == 0) continue;
      scores[column] = {precision / right, static_cast<double>(right) / last, wrong_[column]};
    }
  }

 private:
  void count_wrong(uint64_t key, const Candidate& image) {
    const size_t columns = plan_.columns();
    const size_t place =
        std::lower_bound(rights_.begin(), rights_.end(), key, [](const Right& a, uint64_t b) { return a.key < b; }) -
        rights_.begin();
    for (uint64_t rest = image.drawn; rest; rest &= rest - 1) before_[place * columns + std::countr_zero(rest)]++;
    for (uint64_t rest = image.drawn & searching_[place]; rest; rest &= rest - 1) {
      const int column = std::countr_zero(rest);
      if (plan_.cmc == CmcUnit::Identities) {
        const size_t bit = static_cast<size_t>(image.identity) * columns + column;
        if (seen_[bit / 64] >> bit % 64 & 1) continue;
        seen_[bit / 64] |= uint64_t{1} << bit % 64;
      }
      wrong_[column]++;
    }
  }

  const EvaluationPlan& plan_;
  const Candidates& candidates_;
  Sighting query_;
  std::vector<Right> rights_;
  std::vector<int32_t> before_;      // (rights, columns): wrong images between the right one before and this one
  std::vector<uint64_t> searching_;  // per right image: columns without a right image before it
  std::vector<int32_t> wrong_;       // per column: identities (or images) before the first right one
  std::vector<uint64_t> seen_;       // bits (identity, column)
};

// Queries of a group and gallery rows of a block, so many that they fit into the memory.
struct Sizes {
  int group = 0, block = 0;
};

class StreamedRanking {
 public:
  StreamedRanking(const EvaluationPlan& plan, const EmbeddingRows& source, size_t memory)
      : plan_(plan), source_(source), candidates_(plan), image_of_(source.rows, kNoImage) {
    for (size_t g = 0; g < plan.gallery.size(); g++)
      image_of_[source.images[plan.queries.size() + g]] = static_cast<int>(g);
    sizes_ = choose_sizes(memory);
    buffer_.resize(static_cast<size_t>(sizes_.block) * source.dimension);
  }

  std::vector<Score> run() {
    const size_t queries = plan_.queries.size(), columns = plan_.columns();
    std::vector<Score> scores(queries * columns);
    const size_t groups = (queries + sizes_.group - 1) / sizes_.group;
    const bool measures = plan_.distance == Distance::Euclidean;
    Progress progress("ranking", "embeddings", source_.rows * (2 * groups + measures));
    progress_ = &progress;
    if (measures) measure();
    for (size_t first = 0; first < queries; first += sizes_.group)
      run_group(first, std::min<size_t>(sizes_.group, queries - first), scores);
    return scores;
  }

 private:
  // Calls act(images) for each block with wanted rows. These rows are contiguous at the beginning of buffer_; `images`
  // are their gallery indices.
  template <class Act>
  void for_each_block(bool (StreamedRanking::*wanted)(int image) const, Act act) {
    for (size_t first = 0; first < source_.rows; first += sizes_.block) {
      const size_t count = std::min<size_t>(sizes_.block, source_.rows - first);
      std::vector<int> images;
      bool any = false;
      for (size_t r = first; r < first + count; r++) any = any || (this->*wanted)(image_of_[r]);
      if (any) {
        source_.read(first, count, buffer_.data());
        for (size_t r = 0; r < count; r++) {
          const int image = image_of_[first + r];
          if (!(this->*wanted)(image)) continue;
          std::copy_n(buffer_.data() + r * source_.dimension, source_.dimension,
                      buffer_.data() + images.size() * source_.dimension);
          images.push_back(image);
        }
        act(images);
      }
      progress_->advance(count);
    }
  }
  bool is_gallery(int image) const { return image != kNoImage; }
  bool is_asked_for(int image) const {
    return image != kNoImage && asked_for_.count(candidates_.images[image].identity) > 0;
  }

  // The largest squared length of all rows, for the scale of Euclidean similarities.
  void measure() {
    std::vector<float> row(source_.dimension);
    for (size_t q = 0; q < plan_.queries.size(); q++) {
      source_.read(source_.images[q], 1, row.data());
      largest_ = std::max(largest_, squared_lengths(row.data(), 1, source_.dimension)[0]);
    }
    for_each_block(&StreamedRanking::is_gallery, [&](const std::vector<int>& images) {
      for (const double square : squared_lengths(buffer_.data(), images.size(), source_.dimension))
        largest_ = std::max(largest_, square);
    });
  }

  std::vector<float> query_rows(const std::vector<size_t>& queries) const {
    std::vector<float> rows(queries.size() * source_.dimension);
    for (size_t i = 0; i < queries.size(); i++)
      source_.read(source_.images[queries[i]], 1, rows.data() + i * source_.dimension);
    return rows;
  }

  void run_group(size_t first, size_t count, std::vector<Score>& scores) {
    std::vector<size_t> queries;
    std::vector<QueryState> states;
    asked_for_.clear();
    for (size_t q = first; q < first + count; q++) {
      asked_for_[candidates_.index_of(plan_.queries[q].identity)].push_back(queries.size());
      queries.push_back(q);
      states.emplace_back(plan_, candidates_, plan_.queries[q]);
    }
    const std::vector<float> rows = query_rows(queries);
    find_rights(rows, states);
    for (QueryState& state : states) state.prepare();
    count_all(rows, states);
    for (size_t i = 0; i < states.size(); i++)
      states[i].write_scores({scores.data() + (first + i) * plan_.columns(), static_cast<size_t>(plan_.columns())});
  }

  // The queries' similarities with images of their own identity.
  void find_rights(const std::vector<float>& rows, std::vector<QueryState>& states) {
    const size_t dimension = source_.dimension;
    for_each_block(&StreamedRanking::is_asked_for, [&](const std::vector<int>& images) {
      std::map<int, std::vector<size_t>> indices;  // in the block, by identity
      for (size_t i = 0; i < images.size(); i++) indices[candidates_.images[images[i]].identity].push_back(i);
      std::vector<float> left, right, products;
      for (const auto& [identity, own] : indices) {
        const std::vector<size_t>& queries = asked_for_.at(identity);
        gather(rows.data(), queries, left);
        gather(buffer_.data(), own, right);
        SimilarityRows asking(plan_.distance, largest_, PackedRows::Side::Left, static_cast<int>(queries.size()),
                              static_cast<int>(dimension));
        SimilarityRows shown(plan_.distance, largest_, PackedRows::Side::Right, static_cast<int>(own.size()),
                             static_cast<int>(dimension));
        asking.assign(left.data(), static_cast<int>(queries.size()));
        shown.assign(right.data(), static_cast<int>(own.size()));
        const size_t stride = shown.padded_rows();
        products.resize(asking.padded_rows() * stride);
        similarities(asking, shown, products.data(), static_cast<ptrdiff_t>(stride));
        for (size_t q = 0; q < queries.size(); q++)
          for (size_t i = 0; i < own.size(); i++) {
            const int image = images[own[i]];
            QueryState& state = states[queries[q]];
            if (state.sees(candidates_.images[image])) state.add_right(products[q * stride + i], image);
          }
      }
    });
  }

  void gather(const float* from, const std::vector<size_t>& rows, std::vector<float>& to) const {
    const size_t dimension = source_.dimension;
    to.resize(rows.size() * dimension);
    for (size_t i = 0; i < rows.size(); i++)
      std::copy_n(from + rows[i] * dimension, dimension, to.data() + i * dimension);
  }

  void count_all(const std::vector<float>& rows, std::vector<QueryState>& states) {
    const auto count = static_cast<int>(states.size());
    SimilarityRows asking(plan_.distance, largest_, PackedRows::Side::Left, count, source_.dimension);
    asking.assign(rows.data(), count);
    SimilarityRows shown(plan_.distance, largest_, PackedRows::Side::Right, sizes_.block, source_.dimension);
    std::vector<float> products;
    for_each_block(&StreamedRanking::is_gallery, [&](const std::vector<int>& images) {
      shown.assign(buffer_.data(), static_cast<int>(images.size()));
      const size_t stride = shown.padded_rows();
      products.resize(asking.padded_rows() * stride);
      similarities(asking, shown, products.data(), static_cast<ptrdiff_t>(stride),
                   [&](int q, int i) { return states[q].sees(candidates_.images[images[i]]); });
#pragma omp parallel for schedule(dynamic, 8)
      for (int q = 0; q < count; q++) states[q].count(products.data() + q * stride, images);
    });
  }

  // Bytes of the lists of gallery images, of rows, and of every query's scores.
  size_t list_bytes() const {
    constexpr size_t kMapNode = 48;
    return candidates_.images.size() * sizeof(Candidate) + candidates_.indices.size() * kMapNode +
           image_of_.size() * sizeof(int) + plan_.queries.size() * plan_.columns() * sizeof(Score);
  }

  // query_bytes and row_bytes are upper bounds: of a query's state and embeddings, and of a gallery row of a block.
  Sizes choose_sizes(size_t memory) const {
    std::map<int, size_t> images_of;
    for (const Candidate& image : candidates_.images) images_of[image.identity]++;
    size_t rights = 0;
    for (const ImageRecord& query : plan_.queries) {
      const auto found = images_of.find(candidates_.index_of(query.identity));
      if (found != images_of.end()) rights = std::max(rights, found->second);
    }
    const size_t columns = plan_.columns(), dimension = source_.dimension;
    // A growing vector may have twice its size temporarily.
    const size_t query_embeddings = dimension * 4 * 7 / 3;  // as read, and packed: 6 rows in the space of 8 at most
    const size_t query_bytes = 2 * rights * sizeof(Right) + rights * (columns * 4 + 8) +
                               candidates_.indices.size() * columns / 8 + sizeof(QueryState) + query_embeddings;
    const size_t row_bytes = 4 * dimension * 4;  // as read, packed, gathered and packed by identity
    const size_t all = std::min<size_t>(plan_.queries.size(), kLargestGroup), lists = list_bytes();
    const size_t given = memory;
    memory -= std::min(memory, lists);
    size_t group = std::min(all, memory / 2 / query_bytes);
    const size_t smallest = std::min<size_t>(all, 8);
    if (group < smallest || memory / 2 < kSmallestBlock * (row_bytes + group * 4))
      fail("--memory: {} are too little for this ranking, which needs {} beside its lists",
           format_bytes(static_cast<double>(given)),
           format_bytes(static_cast<double>(lists) +
                        2.0 * static_cast<double>(
                                  std::max(smallest * query_bytes, kSmallestBlock * (row_bytes + smallest * 4)))));
    const size_t block = std::min<size_t>(kLargestBlock, memory / 2 / (row_bytes + group * 4));
    return {static_cast<int>(group), static_cast<int>(std::min(block, std::max<size_t>(source_.rows, 1)))};
  }

  const EvaluationPlan& plan_;
  const EmbeddingRows& source_;
  const Candidates candidates_;
  std::vector<int> image_of_;  // per row: gallery index
  Sizes sizes_;
  std::vector<float> buffer_;  // a block of rows
  double largest_ = 0;
  std::map<int, std::vector<size_t>> asked_for_;  // identities, and the group's queries of each
  Progress* progress_ = nullptr;
};

}  // namespace

std::vector<SettingResult> rank_streamed(const EvaluationPlan& plan, const EmbeddingRows& source, size_t memory) {
  MPANET_CHECK(!plan.rerank, "a stream cannot be re-ranked");
  MPANET_CHECK(source.images.size() == plan.queries.size() + plan.gallery.size(), "{} rows for {} images",
               source.images.size(), plan.queries.size() + plan.gallery.size());
  return summarise(plan, StreamedRanking(plan, source, memory).run());
}

}  // namespace mpanet
