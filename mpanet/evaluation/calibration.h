// Calibration: the probability that two pictures show the same person, fitted on the pairs of some identities of a test
// set, which are then left out of its result. It is stored in a file beside the checkpoint.
#pragma once
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "mpanet/evaluation/logistic.h"
#include "mpanet/evaluation/plan.h"
#include "mpanet/evaluation/similarity.h"

namespace mpanet {

constexpr double kCalibrationPrior = 0.5;  // of a pair of the same person (logistic.h)
inline constexpr Distance kCalibrated[] = {Distance::UnitEuclidean, Distance::Euclidean, Distance::Cosine};

// A model's curves, and what they were fitted on.
struct Calibration {
  std::string checkpoint;     // SHA-256 of the file
  int height = 0, width = 0;  // of the network's pictures
  bool flip = false;
  std::string protocol;
  int split = 0;                // of RegDB; 0 for other data sets
  std::vector<int> identities;  // ascending
  uint64_t same_pairs = 0, different_pairs = 0;
  std::map<Distance, LogisticCurve> curves;  // those that fall with the distance
  bool operator==(const Calibration&) const = default;

  // The curve for embeddings that are made and compared so; null if there is none.
  const LogisticCurve* curve(Distance distance, int of_height, int of_width, bool of_flip) const;
};

// The identities of the plans' queries and gallery images, ascending.
std::vector<int> identities_of(const std::vector<EvaluationPlan>& plans);
// round(share * all.size()) of them, at least two, drawn by the seed, ascending. UserError when that is all of them.
std::vector<int> draw_identities(const std::vector<int>& all, double share, uint64_t seed);
// The identities in a file, numbers between commas and line ends, ascending. UserError, with the line, for anything
// else, a number given twice, and a number that is not in `all`; also for fewer than two, and for all of them.
std::vector<int> read_identities(const std::string& path, const std::vector<int>& all);

// The plans with only the images of these identities (ascending), or without them. Settings and trials stay, and what
// a trial draws of the others. UserError when a plan keeps no query or no gallery image.
std::vector<EvaluationPlan> plans_of(std::vector<EvaluationPlan> plans, const std::vector<int>& identities);
std::vector<EvaluationPlan> plans_without(std::vector<EvaluationPlan> plans, const std::vector<int>& identities);

// Fits on every pair of a query and a gallery image of the other modality that a trial compares, once per plan. Sets
// protocol, split, identities, pairs and curves. `images` have the plans' images, a row of `embeddings` each.
// UserError: see fit_logistic(); also when the curve of the plans' own distance does not fall.
Calibration calibrate(const std::vector<EvaluationPlan>& plans, const std::vector<ImageRecord>& images,
                      const Embeddings& embeddings);

// Why a distance stands for no probability; empty when the calibration has its curve (Calibration::curve()).
std::string why_no_probability(const std::optional<Calibration>& calibration, Distance distance, int height, int width,
                               bool flip);

// The file beside a checkpoint: FILE.calibration.json.
std::string calibration_path(const std::string& checkpoint);
// Its content (docs/files.md).
nlohmann::ordered_json calibration_json(const Calibration& calibration);
// nullopt when there is no such file. UserError, one line with the file, for another content, and for a calibration of
// other weights: `sha256` is that of the checkpoint, and computed here if it is empty.
std::optional<Calibration> read_calibration(const std::string& checkpoint, std::string sha256 = "");

}  // namespace mpanet
