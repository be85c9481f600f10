#include "mpanet/search/nearest_pictures.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "mpanet/search/nearest_rows.h"

namespace mpanet {
namespace {

// The inner product of unit vectors is in -1..1; other bytes of a damaged file would come first in the lists, or, as
// NaN, make sorting undefined.
void check_products(const IndexReader& index, const std::vector<float>& products, const std::vector<uint32_t>& rows) {
  constexpr float kLargest = 1.001f;  // rounding of both rows and of the sum
  for (size_t i = 0; i < products.size(); i++)
    if (!(std::abs(products[i]) <= kLargest))
      fail("{}: row {} is no embedding: the index is damaged", index.path(), rows[i % rows.size()]);
}

}  // namespace

std::vector<std::vector<NearPicture>> nearest_pictures(IndexReader& index, std::span<const float> queries,
                                                       const SearchChoice& choice, int threads) {
  const int dimension = index.about().dimension;
  const size_t count = queries.size() / static_cast<size_t>(dimension), top = static_cast<size_t>(choice.top);
  const std::vector<uint32_t> rows = index.rows(choice.camera, choice.since);
  std::vector<float> products(count * rows.size());
  multiply_rows(queries, index.table(), rows, dimension, threads, products.data());
  check_products(index, products, rows);
  std::vector<std::vector<NearPicture>> lists(count);
  for (size_t q = 0; q < count; q++) {
    const std::span<const float> own(products.data() + q * rows.size(), rows.size());
    std::vector<NearPicture>& list = lists[q];
    for (const uint32_t i : largest_products(own, top))
      list.push_back({index.picture(rows[i]), std::max(0.0, 2 - 2.0 * own[i]), {}});
    std::stable_sort(list.begin(), list.end(), [](const NearPicture& a, const NearPicture& b) {
      return a.distance != b.distance ? a.distance < b.distance : a.picture.path < b.picture.path;
    });
    if (list.size() > top) list.resize(top);
  }
  return lists;
}

}  // namespace mpanet
