#include "mpanet/search/nearest_rows.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/base/error.h"
#include "core/base/threads.h"

namespace mpanet {
namespace {

constexpr int kLanes = 32;      // sums that are independent, so that the loop vectorises
constexpr size_t kBlock = 512;  // rows that a thread takes at a time
constexpr float kOfZeros = 0.5f;

float product(const float* a, const float* b, int count) {
  float sums[kLanes] = {};
  int i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (int lane = 0; lane < kLanes; lane++) sums[lane] += a[i + lane] * b[i + lane];
  for (int lane = 0; i < count; i++, lane++) sums[lane] += a[i] * b[i];
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int lane = 0; lane < width; lane++) sums[lane] += sums[lane + width];
  return sums[0];
}

bool is_zero(const float* row, int dimension) {
  return std::all_of(row, row + dimension, [](float value) { return value == 0; });
}

}  // namespace

void normalize_row(float* row, int dimension) {
  double square = 0;
  for (int i = 0; i < dimension; i++) square += static_cast<double>(row[i]) * row[i];
  MPANET_CHECK(std::isfinite(square), "an embedding of length {}", square);
  if (square == 0) return;
  const double factor = 1 / std::sqrt(square);
  for (int i = 0; i < dimension; i++) row[i] = static_cast<float>(row[i] * factor);
}

void multiply_rows(std::span<const float> queries, const float* table, std::span<const uint32_t> rows, int dimension,
                   int threads, float* out) {
  const auto width = static_cast<size_t>(dimension);
  const size_t count = queries.size() / width, blocks = (rows.size() + kBlock - 1) / kBlock;
  std::vector<bool> zeros(count);
  for (size_t q = 0; q < count; q++) zeros[q] = is_zero(queries.data() + q * width, dimension);
  parallel_for(threads, blocks, [&](size_t block, int) {
    const size_t end = std::min(rows.size(), (block + 1) * kBlock);
    for (size_t i = block * kBlock; i < end; i++) {
      const float* const row = table + rows[i] * width;
      for (size_t q = 0; q < count; q++) {
        float value = product(queries.data() + q * width, row, dimension);
        if (zeros[q] || (value == 0 && is_zero(row, dimension))) value = kOfZeros;
        out[q * rows.size() + i] = value;
      }
    }
  });
}

std::vector<uint32_t> largest_products(std::span<const float> products, size_t top) {
  if (top == 0 || products.empty()) return {};
  top = std::min(top, products.size());
  std::vector<float> sorted(products.begin(), products.end());
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<ptrdiff_t>(top - 1), sorted.end(), std::greater<>());
  const float last = sorted[top - 1];
  std::vector<uint32_t> indices;
  for (size_t i = 0; i < products.size(); i++)
    if (products[i] >= last) indices.push_back(static_cast<uint32_t>(i));
  std::stable_sort(indices.begin(), indices.end(), [&](uint32_t a, uint32_t b) { return products[a] > products[b]; });
  return indices;
}

}  // namespace mpanet
