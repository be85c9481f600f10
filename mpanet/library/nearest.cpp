#include "mpanet/library/nearest.h"

#include <algorithm>
#include <functional>
#include <span>
#include <vector>

#include "core/base/threads.h"
#include "mpanet/evaluation/descending_sort.h"
#include "mpanet/evaluation/similarity.h"

namespace mpanet {
namespace {

constexpr size_t kQueryBlock = 480, kGalleryBlock = 2016;
constexpr size_t kBlockNumbers = size_t{1} << 26;  // similarities in memory at a time, unless one query has more

using UseBlock = std::function<void(size_t first_query, size_t queries, const float* similarities, size_t stride)>;

// Calls `use` with the similarities of consecutive blocks of queries with the whole gallery.
void for_each_block(const RowsView& queries, const RowsView& gallery, const UseBlock& use) {
  const int dimension = queries.dimension;
  const size_t block = std::min({kQueryBlock, queries.count, std::max<size_t>(1, kBlockNumbers / gallery.count)});
  const size_t part = std::min(kGalleryBlock, gallery.count);
  SimilarityRows left(Distance::UnitEuclidean, 0, PackedRows::Side::Left, static_cast<int>(block), dimension);
  SimilarityRows right(Distance::UnitEuclidean, 0, PackedRows::Side::Right, static_cast<int>(part), dimension);
  std::vector<float> all, some;
  for (size_t q = 0; q < queries.count; q += block) {
    const size_t rows = std::min(block, queries.count - q);
    left.assign(queries.values + q * dimension, static_cast<int>(rows));
    all.resize(rows * gallery.count);
    for (size_t g = 0; g < gallery.count; g += part) {
      const size_t columns = std::min(part, gallery.count - g);
      right.assign(gallery.values + g * dimension, static_cast<int>(columns));
      const size_t stride = right.padded_rows();
      some.resize(left.padded_rows() * stride);
      similarities(left, right, some.data(), static_cast<ptrdiff_t>(stride));
      for (size_t i = 0; i < rows; i++)
        std::copy_n(some.data() + i * stride, columns, all.data() + i * gallery.count + g);
    }
    use(q, rows, all.data(), gallery.count);
  }
}

bool is_zero(const float* row, int dimension) {
  return std::all_of(row, row + dimension, [](float value) { return value == 0; });
}

float distance_of(float similarity, bool zero_query, bool zero_row) {
  if (zero_query || zero_row) return zero_query && zero_row ? 0.0f : 1.0f;
  return std::max(0.0f, 2.0f - 2.0f * similarity);
}

std::vector<bool> zero_rows(const RowsView& rows) {
  std::vector<bool> zeros(rows.count);
  for (size_t i = 0; i < rows.count; i++) zeros[i] = is_zero(rows.values + i * rows.dimension, rows.dimension);
  return zeros;
}

}  // namespace

void compare_rows(const RowsView& queries, const RowsView& gallery, float* out) {
  if (queries.count == 0 || gallery.count == 0) return;
  const std::vector<bool> zero_query = zero_rows(queries), zero_row = zero_rows(gallery);
  for_each_block(queries, gallery, [&](size_t first, size_t count, const float* numbers, size_t stride) {
    for (size_t q = 0; q < count; q++)
      for (size_t g = 0; g < gallery.count; g++)
        out[(first + q) * gallery.count + g] = distance_of(numbers[q * stride + g], zero_query[first + q], zero_row[g]);
  });
}

void rank_rows(const RowsView& queries, const RowsView& gallery, size_t top, int64_t* indices, float* distances) {
  if (queries.count == 0 || gallery.count == 0) return;
  const std::vector<bool> zero_query = zero_rows(queries), zero_row = zero_rows(gallery);
  // parallel_for() and not OpenMP: a sort that runs out of memory throws.
  const int threads = usable_processors();
  std::vector<DescendingSort> sorts(threads);
  for_each_block(queries, gallery, [&](size_t first, size_t count, const float* numbers, size_t stride) {
    parallel_for(threads, count, [&](size_t q, int thread) {
      const std::span<const float> row(numbers + q * stride, gallery.count);
      const std::span<const uint64_t> order = sorts[thread].sort(row);
      for (size_t i = 0; i < top; i++) {
        const size_t g = order[i] & 0xffffffffu, at = (first + q) * top + i;
        indices[at] = static_cast<int64_t>(g);
        if (distances != nullptr) distances[at] = distance_of(row[g], zero_query[first + q], zero_row[g]);
      }
    });
  });
}

}  // namespace mpanet
