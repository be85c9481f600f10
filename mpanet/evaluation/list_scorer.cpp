#include "mpanet/evaluation/list_scorer.h"

#include <algorithm>
#include <bit>

namespace mpanet {

Candidates::Candidates(const EvaluationPlan& plan) {
  images.reserve(plan.gallery.size());
  for (size_t g = 0; g < plan.gallery.size(); g++) add(plan.gallery[g], plan.drawn[g]);
}

Candidates::Candidates(const EvaluationPlan& plan, int column) {
  for (size_t g = 0; g < plan.gallery.size(); g++)
    if (plan.drawn[g] >> column & 1) add(plan.gallery[g], 1);
}

void Candidates::add(const ImageRecord& image, uint64_t drawn) {
  const int next = static_cast<int>(indices.size());
  images.push_back({drawn, indices.emplace(image.identity, next).first->second, image.camera});
}

int Candidates::index_of(int identity) const {
  const auto known = indices.find(identity);
  return known == indices.end() ? -1 : known->second;
}

void ListScorer::run(std::span<const uint64_t> ranked, const ImageRecord& query, std::span<Score> scores) {
  const int identity = candidates_.index_of(query.identity);
  const Sighting asking{identity, query.camera};
  const bool images_count = plan_.cmc == CmcUnit::Images;
  std::fill(seen_.begin(), seen_.end(), 0);
  ranked_digits_.fill(0), right_.fill(0), wrong_.fill(0), last_.fill(0), precision_.fill(0);
  const int digits = static_cast<int>(std::bit_width(ranked.size()));
  uint64_t searching = ~uint64_t{0};  // columns without a right image so far
  for (const uint64_t item : ranked) {
    const Candidate& candidate = candidates_.images[static_cast<uint32_t>(item)];
    if (plan_.skips && plan_.skips(asking, {candidate.identity, candidate.camera})) continue;
    uint64_t carry = candidate.drawn;  // adds one to the numbers of these columns
    for (size_t d = 0; carry; d++) {
      const uint64_t next = ranked_digits_[d] & carry;
      ranked_digits_[d] ^= carry;
      carry = next;
    }
    if (candidate.identity == identity) {
      for (uint64_t rest = candidate.drawn; rest; rest &= rest - 1) {
        const int column = std::countr_zero(rest);
        last_[column] = 0;
        for (int d = 0; d < digits; d++) last_[column] |= static_cast<int32_t>(ranked_digits_[d] >> column & 1) << d;
        precision_[column] += static_cast<double>(++right_[column]) / last_[column];
      }
      searching &= ~candidate.drawn;
    } else {
      uint64_t fresh = candidate.drawn & searching;
      if (!images_count) fresh &= ~seen_[candidate.identity];
      if (!fresh) continue;
      seen_[candidate.identity] |= fresh;
      for (uint64_t rest = fresh; rest; rest &= rest - 1) wrong_[std::countr_zero(rest)]++;
    }
  }
  for (size_t column = 0; column < scores.size(); column++) {
    if (right_[column] == 0) continue;
    scores[column] = {precision_[column] / right_[column], static_cast<double>(right_[column]) / last_[column],
                      wrong_[column]};
  }
}

}  // namespace mpanet
