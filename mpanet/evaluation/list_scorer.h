// Scores one query's ranked list in one pass for all settings and trials.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "mpanet/evaluation/scores.h"

namespace mpanet {

// The properties of a gallery image that scoring reads, contiguous in memory.
struct Candidate {
  uint64_t drawn = 0;
  int32_t identity = 0;  // 0..identities-1
  int32_t camera = 0;
};

// The plan's gallery, with its identities numbered in order of their first image.
class Candidates {
 public:
  explicit Candidates(const EvaluationPlan& plan);
  // Only the images that `column` draws, as column 0.
  Candidates(const EvaluationPlan& plan, int column);
  // The index of an identity; -1 if the gallery has no image of it.
  int index_of(int identity) const;

  std::vector<Candidate> images;
  std::map<int, int> indices;

 private:
  void add(const ImageRecord& image, uint64_t drawn);
};

class ListScorer {
 public:
  explicit ListScorer(const EvaluationPlan& plan, const Candidates& candidates)
      : plan_(plan), candidates_(candidates), seen_(candidates.indices.size()) {}

  // `ranked`: gallery indices in the lower 32 bits, the nearest image first. Writes the query's score in every column
  // in which it has a match; the others do not change.
  void run(std::span<const uint64_t> ranked, const ImageRecord& query, std::span<Score> scores);

 private:
  const EvaluationPlan& plan_;
  const Candidates& candidates_;
  std::vector<uint64_t> seen_;  // per identity: columns in which it has been counted
  // The number of images ranked so far in each column, bit-sliced: bit c of word d is binary digit d of column c's
  // number. So a few operations on words count an image in all of its columns.
  std::array<uint64_t, 32> ranked_digits_;
  // Per column: right images so far, identities (or images) before the first right one, rank of the last right one.
  std::array<int32_t, kMaxColumns> right_, wrong_, last_;
  std::array<double, kMaxColumns> precision_;  // per column: the sum of the precisions at the right images
};

}  // namespace mpanet
