// The walk along one query's ranked list, once for all settings and trials.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "mpanet/evaluation/scores.h"

namespace mpanet {

// What the walk needs of a gallery image, close together in memory.
struct Candidate {
  uint64_t drawn = 0;
  int32_t identity = 0;  // 0..identities-1
  int32_t camera = 0;
};

// The plan's gallery, its identities numbered in the order in which they come.
class Candidates {
 public:
  explicit Candidates(const EvaluationPlan& plan);
  // What one column draws, as column 0.
  Candidates(const EvaluationPlan& plan, int column);
  // The number of an identity, -1 where the gallery has none of it.
  int index_of(int identity) const;

  std::vector<Candidate> images;
  std::map<int, int> indices;

 private:
  void add(const ImageRecord& image, uint64_t drawn);
};

class Walk {
 public:
  explicit Walk(const EvaluationPlan& plan, const Candidates& candidates)
      : plan_(plan), candidates_(candidates), seen_(candidates.indices.size()) {}

  // `ranked`: gallery indices in the lower halves, the best first. Writes the query's score in every column in which
  // it has a match; the others stay.
  void run(std::span<const uint64_t> ranked, const ImageRecord& query, std::span<Score> scores);

 private:
  const EvaluationPlan& plan_;
  const Candidates& candidates_;
  std::vector<uint64_t> seen_;  // per identity: columns in which it has been counted
  std::array<int32_t, kMaxColumns> ranked_, right_, wrong_, last_;
  std::array<double, kMaxColumns> precision_;
};

}  // namespace mpanet
