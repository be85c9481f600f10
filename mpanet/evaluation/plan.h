// The plan of an evaluation: who queries, who may be found, and which part of both each trial takes, as plain values
// (docs/method.md, section 5). A protocol (protocol.h) makes one; what ranks works on it and knows no data set.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/sets/dataset.h"

namespace mpanet {

// One line of a result table: a kind of gallery, drawn anew in every trial.
struct Setting {
  std::string mode;   // "all" or "indoor"
  std::string shots;  // "single", "multi", or "all" where the whole gallery takes part
  bool operator==(const Setting&) const = default;
};

// What the distance of two embeddings is. Ranking by UnitEuclidean and by Cosine differs for embeddings of zeros alone.
enum class Distance {
  UnitEuclidean,  // squared Euclidean, both L2-normalised
  Euclidean,      // squared Euclidean, as they are
  Cosine,         // minus the product, both L2-normalised
};
// "euclidean-unit", "euclidean", "cosine"; the same in words, as results name it.
const char* name_of(Distance distance);
const char* words_of(Distance distance);
// UserError that lists the names.
Distance parse_distance(std::string_view name);

// What CMC counts up to the first right image: each identity once, at its best-ranked image, or every image.
enum class CmcUnit { Identities, Images };
// "identities" or "images". UserError for another.
CmcUnit parse_cmc(std::string_view name);

// A filter sees who is on a picture and which camera took it. Identities are numbers that are equal or not, nothing
// more.
struct Sighting {
  int identity = 0, camera = 0;
};
// True: this query does not see this gallery image.
using Filter = bool (*)(Sighting query, Sighting gallery);

constexpr int kMaxColumns = 64;  // settings x trials

struct EvaluationPlan {
  std::string protocol;              // "sysu"
  std::string direction;             // in words: who queries whom
  std::vector<ImageRecord> queries;  // every image that some trial asks with, by ascending path
  std::vector<ImageRecord> gallery;  // every image that some trial may draw, by ascending path: ties rank in this order
  std::vector<Setting> settings;     // at least one; settings.size() * trials <= kMaxColumns
  int trials = 0;                    // of every setting
  std::vector<uint64_t> drawn;       // per gallery image: bit (setting * trials + trial) says that the trial draws it
  std::vector<uint64_t> asked;       // per query, the same bits: the trial asks with it; empty: all ask with all
  Filter skips = nullptr;            // null: every query sees every image
  Distance distance = Distance::UnitEuclidean;
  CmcUnit cmc = CmcUnit::Identities;
  std::vector<int> more_ranks;  // CMC at these beside 1, 5, 10 and 20, each at least 1
  // k-reciprocal re-ranking (rerank.h), and whether gallery images are neighbours too.
  bool rerank = false, gallery_neighbours = true;

  int columns() const { return static_cast<int>(settings.size()) * trials; }
  uint64_t asked_in(size_t query) const { return asked.empty() ? ~uint64_t{0} : asked[query]; }
};

// The plans' images, each once: the queries of the first, its gallery, then what others have beside them.
std::vector<ImageRecord> images_of(const std::vector<EvaluationPlan>& plans);

}  // namespace mpanet
