// Common parts of the losses' cases: batches of identities.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {

using Labels = std::vector<int32_t>;

inline const Labels kEven{0, 0, 1, 1}, kUneven{3, 3, 3, 5, 5, 9}, kUnsorted{2, 0, 2, 1, 0, 2, 5, 2, 1},
    kSingles{4, 1, 0};

// A batch for which every strided loop over rows has several iterations, with more identities than a block has threads.
// Rows of an identity are 283 rows apart.
inline Labels many_labels() {
  Labels labels;
  for (int i = 0; i < 520; i++) labels.push_back(37 * i % 283);
  return labels;
}

// "3,3,5"; at most the first kShown.
template <class T>
std::string joined(const std::vector<T>& numbers) {
  constexpr size_t kShown = 12;
  std::string text;
  for (size_t i = 0; i < std::min(numbers.size(), kShown); i++)
    text += fmt::format("{}{}", i == 0 ? "" : ",", static_cast<int>(numbers[i]));
  return text + (numbers.size() > kShown ? ",.." : "");
}

// Features of deviation 1 / sqrt(d). Distances are near 1.4 for every d, so a margin of this size has pairs on both
// sides of the hinge.
inline Draw near_each_other(int d) { return Draw::normal(1 / std::sqrt(static_cast<double>(d))); }

inline std::string features_of(const Labels& labels, int d) {
  return fmt::format("{}x{} identities {}", labels.size(), d, joined(labels));
}

}  // namespace mpanet::PRECISION
