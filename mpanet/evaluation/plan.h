// The plan of an evaluation: the queries, the gallery, and the subsets of both that each trial uses, as plain values
// (docs/method.md, section 5). A protocol (protocol.h) makes a plan. Ranking reads the plan and knows no data set.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/sets/dataset.h"

namespace mpanet {

// One line of a result table: a kind of gallery, drawn again in every trial.
struct Setting {
  std::string mode;   // "all" or "indoor"
  std::string shots;  // "single", "multi", or "all" for the whole gallery
  bool operator==(const Setting&) const = default;
};

// The distance of two embeddings. Ranking by UnitEuclidean and by Cosine differs only for embeddings of zeros.
enum class Distance {
  UnitEuclidean,  // squared Euclidean, both L2-normalised
  Euclidean,      // squared Euclidean, not normalised
  Cosine,         // minus the product, both L2-normalised
};
// "euclidean-unit", "euclidean", "cosine"; a description for results.
const char* name_of(Distance distance);
const char* words_of(Distance distance);
// UserError that lists the names.
Distance parse_distance(std::string_view name);

// CMC counts, up to the first right image, each identity once (at its best-ranked image), or every image.
enum class CmcUnit { Identities, Images };
// "identities" or "images". UserError for another.
CmcUnit parse_cmc(std::string_view name);

// The properties of an image that a filter reads. Identities are only compared for equality.
struct Sighting {
  int identity = 0, camera = 0;
};
// Whether the query ignores the gallery image.
using Filter = bool (*)(Sighting query, Sighting gallery);

constexpr int kMaxColumns = 64;  // settings x trials

struct EvaluationPlan {
  std::string protocol;              // "sysu"
  int split = 0;                     // RegDB's 1..10; 0: the data set has one
  std::string direction;             // "infrared queries, visible gallery"
  std::vector<ImageRecord> queries;  // every image that is a query in some trial, by ascending path
  std::vector<ImageRecord> gallery;  // every image that some trial may draw, by ascending path: ties rank in this order
  std::vector<Setting> settings;     // at least one; settings.size() * trials <= kMaxColumns
  int trials = 0;                    // of every setting
  std::vector<uint64_t> drawn;       // per gallery image: bit (setting * trials + trial) is set if the trial draws it
  std::vector<uint64_t> asked;       // per query: the same bit is set if the trial uses it; empty: all trials use all
  Filter skips = nullptr;            // null: no query ignores an image
  Distance distance = Distance::UnitEuclidean;
  CmcUnit cmc = CmcUnit::Identities;
  std::vector<int> more_ranks;  // CMC at these ranks besides 1, 5, 10 and 20, each at least 1
  // k-reciprocal re-ranking (rerank.h), and whether gallery images can be neighbours too.
  bool rerank = false, gallery_neighbours = true;

  int columns() const { return static_cast<int>(settings.size()) * trials; }
  uint64_t asked_in(size_t query) const { return asked.empty() ? ~uint64_t{0} : asked[query]; }
};

// The plans' images, each once: the queries of the first, its gallery, then the other plans' further images.
std::vector<ImageRecord> images_of(const std::vector<EvaluationPlan>& plans);

}  // namespace mpanet
