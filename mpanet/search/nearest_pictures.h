// The nearest pictures of an index, exactly.
#pragma once
#include <optional>
#include <span>
#include <vector>

#include "mpanet/search/search_index.h"

namespace mpanet {

struct SearchChoice {
  int top = 10;                  // pictures for each query, at most
  int camera = 0;                // 0: any
  std::optional<int64_t> since;  // of IndexedPicture::time, inclusive
};

struct NearPicture {
  IndexedPicture picture;
  double distance = 0;                // 2 - 2 s of unit vectors
  std::optional<double> probability;  // for a caller that has a calibration; empty here
};

// The nearest pictures of each query (count, dimension), normalised; equal distances by ascending path. UserError for a
// row of the index that is no unit vector.
std::vector<std::vector<NearPicture>> nearest_pictures(IndexReader& index, std::span<const float> queries,
                                                       const SearchChoice& choice, int threads);

}  // namespace mpanet
