#include "kernels/cpu/packed_rows.h"

#include <omp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/base/error.h"
#include "core/base/threads.h"

namespace mpanet {
namespace {

constexpr int kBlock = 256;  // elements of a row in a block: that of a left panel stays in the L1 cache
// Right panels that a thread takes at a time: at most kMaxChunk, whose blocks stay in the L2 cache, and fewer if a
// thread would have fewer than kChunksPerThread chunks.
constexpr int kMinChunk = 4, kMaxChunk = 16, kChunksPerThread = 3;

// Asks Linux for pages of 2 MiB, which it may refuse. A gallery has hundreds of MiB. In pages of 4 KiB the page faults
// of its first write take a noticeable part of the product's time.
void prefer_large_pages(void* memory, size_t bytes) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE)), begin = reinterpret_cast<uintptr_t>(memory);
  const uintptr_t first = (begin + page - 1) / page * page, end = (begin + bytes) / page * page;
  if (first < end) madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
}

int panels(int rows, int panel_rows) { return (rows + panel_rows - 1) / panel_rows; }

// Copies (rows, columns) between matrices with these strides.
void copy_tile(const float* from, ptrdiff_t from_stride, float* to, ptrdiff_t to_stride, int rows, int columns) {
  for (int i = 0; i < rows; i++) std::copy_n(from + i * from_stride, columns, to + i * to_stride);
}

// (left panels, right panels): 1 if a row of the left panel and a row of the right one are wanted as a pair, else 0.
std::vector<char> wanted_panels(const PairFilter& wanted, int left, int left_panel, int right, int right_panel) {
  const int columns = panels(right, right_panel);
  std::vector<char> result(static_cast<size_t>(panels(left, left_panel)) * columns, !wanted);
  if (!wanted) return result;
#pragma omp parallel for schedule(static)
  for (int l = 0; l < left; l += left_panel)
    for (int c = 0; c < columns; c++) {
      char& found = result[static_cast<size_t>(l / left_panel) * columns + c];
      const int left_end = std::min(l + left_panel, left), right_end = std::min((c + 1) * right_panel, right);
      for (int i = l; i < left_end; i++)
        for (int j = c * right_panel; j < right_end && !found; j++) found = wanted(i, j);
    }
  return result;
}

}  // namespace

PackedRows::PackedRows(Side side, int max_rows, int length)
    : kernels_(cpu::panel_kernels()),
      panel_rows_(side == Side::Left ? kernels_.rows : kernels_.columns),
      panel_stride_(side == Side::Left ? kernels_.row_stride : kernels_.columns),
      max_rows_(max_rows),
      length_(length) {
  MPANET_CHECK(max_rows >= 0 && length >= 1, "cannot pack {} rows of {} numbers", max_rows, length);
  const size_t padded = static_cast<size_t>(panels(max_rows, panel_rows_)) * panel_stride_;
  const size_t lines = (padded * length * sizeof(float) + sizeof(Line) - 1) / sizeof(Line);
  values_ = std::make_unique_for_overwrite<Line[]>(lines);
  prefer_large_pages(values_.get(), lines * sizeof(Line));
}

int PackedRows::padded_rows() const { return panels(rows_, panel_rows_) * panel_rows_; }

float* PackedRows::block(int panel, int begin, int size) const {
  const size_t padded = static_cast<size_t>(panels(max_rows_, panel_rows_)) * panel_stride_;
  return values_.get()->values + padded * begin + static_cast<size_t>(panel) * panel_stride_ * size;
}

void PackedRows::assign(const float* rows, const double* factors, int count) {
  MPANET_CHECK(count >= 0 && count <= max_rows_, "{} rows do not fit {}", count, max_rows_);
  rows_ = count;
#pragma omp parallel for schedule(static)
  for (int panel = 0; panel < panels(count, panel_rows_); panel++) pack_panel(panel, rows, factors);
}

void PackedRows::pack_panel(int panel, const float* rows, const double* factors) {
  const int first = panel * panel_rows_, count = std::min(panel_rows_, rows_ - first);
  for (int begin = 0; begin < length_; begin += kBlock) {
    const int size = std::min(kBlock, length_ - begin);
    float* to = block(panel, begin, size);
    if (count < panel_stride_) std::fill(to, to + size * panel_stride_, 0.0f);
    for (int i = 0; i < count; i++) {
      const float* from = rows + static_cast<size_t>(first + i) * length_ + begin;
      for (int x = 0; x < size; x++) to[x * panel_stride_ + i] = static_cast<float>(from[x] * factors[first + i]);
    }
  }
}

void multiply(const PackedRows& left, const PackedRows& right, float* products, ptrdiff_t stride,
              const PairFilter& wanted) {
  const cpu::PanelKernels& kernels = left.kernels_;
  const int rows = kernels.rows, columns = kernels.columns;
  MPANET_CHECK(left.panel_rows_ == rows && right.panel_rows_ == columns,
               "expected rows packed as the left and as the right side");
  MPANET_CHECK(left.length_ == right.length_, "expected rows of equal length, got {} and {}", left.length_,
               right.length_);
  check_team();
  const int left_panels = panels(left.rows_, rows), right_panels = panels(right.rows_, columns);
  const int chunk_panels = std::clamp(right_panels / (kChunksPerThread * omp_get_max_threads()), kMinChunk, kMaxChunk);
  const std::vector<char> is_wanted = wanted_panels(wanted, left.rows_, rows, right.rows_, columns);
#pragma omp parallel for schedule(dynamic)
  for (int chunk = 0; chunk < right_panels; chunk += chunk_panels) {
    // If `count` below is odd, multiply_transposed() writes one row more, for which `products` has no space.
    alignas(64) float tile[cpu::kMaxTileRows * cpu::kMaxTileColumns] = {};
    const int chunk_end = std::min(chunk + chunk_panels, right_panels);
    for (int begin = 0; begin < left.length_; begin += kBlock) {
      const int size = std::min(kBlock, left.length_ - begin);
      for (int l = 0; l < left_panels; l++) {
        const float* const panel = left.block(l, begin, size);
        const int count = std::min(rows, left.rows_ - l * rows);
        for (int r = chunk; r < chunk_end; r++) {
          float* const to = products + l * rows * stride + r * columns;
          if (!is_wanted[static_cast<size_t>(l) * right_panels + r]) {
            for (int i = 0; i < count && begin == 0; i++) std::fill_n(to + i * stride, columns, 0.0f);
            continue;
          }
          if (count % 2 == 0) {
            kernels.multiply_transposed(panel, right.block(r, begin, size), size, count, begin > 0, to, stride);
            continue;
          }
          if (begin > 0) copy_tile(to, stride, tile, columns, count, columns);
          kernels.multiply_transposed(panel, right.block(r, begin, size), size, count, begin > 0, tile, columns);
          copy_tile(tile, columns, to, stride, count, columns);
        }
      }
    }
  }
}

}  // namespace mpanet
