// Everything that the report shows of one run, without the embeddings, which are large.
#pragma once
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "mpanet/evaluation/evaluate.h"
#include "mpanet/evaluation/ranked_queries.h"
#include "mpanet/evaluation/results.h"
#include "mpanet/report/camera_matrix.h"
#include "mpanet/report/charts.h"
#include "mpanet/report/pair_histogram.h"
#include "mpanet/report/pattern_pictures.h"
#include "mpanet/report/run_files.h"

namespace mpanet {

// Of one plan: a direction.
struct DirectionResults {
  std::string direction;
  std::vector<SettingResult> settings;  // without values per query
};

// A picture in the map of embeddings.
struct MapPoint {
  double x = 0, y = 0;
  ImageRecord image;
};

struct RunResults {
  RunRecord record;
  ResultFacts facts;
  std::optional<Calibration> calibration;  // of the embeddings' checkpoint
  std::string protocol, distance, data_root;
  double calibrated = NAN;  // the distance of probability 0.5; NaN without a curve for the plans' distance
  int split = 0, trials = 0;
  std::vector<int> more_ranks;
  std::vector<DirectionResults> directions;
  // Of the first direction and its first setting.
  Histogram pairs;
  CameraMatrix cameras;
  std::vector<RankedQuery> worst;
  std::vector<MapPoint> map;
  std::vector<int> coloured;  // identities with a colour in the map
  // Empty without pictures, for embeddings from a folder, and for a network without pattern maps.
  std::vector<MappedPerson> persons;
};

constexpr int kShownMatches = 10;
constexpr size_t kMapPoints = 1000;  // pictures in the map of embeddings at most

// The ranks of CMC curves besides 1, 5, 10 and 20: all others up to 20.
std::vector<int> curve_ranks();

// Ranks, measures and lays out the embeddings of one run. `plans` have curve_ranks() as more_ranks; `images` are those
// of the plans, a row of `embeddings` each. `worst`: number of queries in the list of the worst.
void measure(const std::vector<EvaluationPlan>& plans, const std::vector<ImageRecord>& images,
             const Embeddings& embeddings, size_t worst, RunResults& results);

// Indices of at most `most` images, ascending: those of the `coloured` identities first, then others drawn by a fixed
// seed.
std::vector<size_t> map_sample(const std::vector<ImageRecord>& images, const std::vector<int>& coloured, size_t most);

}  // namespace mpanet
