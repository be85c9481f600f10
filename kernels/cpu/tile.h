// The inner loop of every plain matrix product: a tile of kTileRows x kTileColumns sums that stays in registers.
//
//   tile[m][j] += sum over i of rows[m][i * step] * panel[i][j]
//
// `panel` (length, kTileColumns) is a slice of the right factor, packed so that its loads are contiguous. The left
// factor is not packed: there is one pointer per row. Each sum runs in order of i.
#pragma once
#include "kernels/cpu/convert.h"

namespace mpanet::PRECISION::cpu {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64, kTileRows = 8;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32, kTileRows = 4;
#else
constexpr int kVectorBytes = 16, kTileRows = 4;
#endif
constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(real));
constexpr int kTileColumns = 2 * kLanes;

using Vector __attribute__((vector_size(kVectorBytes))) = real;
using LooseVector __attribute__((vector_size(kVectorBytes), aligned(sizeof(real)), may_alias)) = real;

struct Tile {
  Vector sum[kTileRows][2] = {};

  real at(int row, int column) const { return sum[row][column / kLanes][column % kLanes]; }
};

template <class T>
void multiply_add(const T* const (&rows)[kTileRows], int64_t step, const real* panel, int64_t length, Tile& tile) {
  Vector sum[kTileRows][2];  // copied one by one: an array copy would keep the sums in memory
#pragma GCC unroll 8
  for (int m = 0; m < kTileRows; m++) {
    sum[m][0] = tile.sum[m][0];
    sum[m][1] = tile.sum[m][1];
  }
  for (int64_t i = 0; i < length; i++) {
    const LooseVector* b = reinterpret_cast<const LooseVector*>(panel + i * kTileColumns);
    const Vector left = b[0], right = b[1];
#pragma GCC unroll 8
    for (int m = 0; m < kTileRows; m++) {
      const real a = static_cast<real>(rows[m][i * step]);
      sum[m][0] += a * left;
      sum[m][1] += a * right;
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < kTileRows; m++) {
    tile.sum[m][0] = sum[m][0];
    tile.sum[m][1] = sum[m][1];
  }
}

// c (m, n) = A B. Element (i, p) of A is a[i * row_step + p * depth_step]. pack(first, length, column, width, panel)
// provides B (k, n): it writes B[first + i][column + j] to panel[i * kTileColumns + j] for i < length and j < width.
// Slices of k are added to c in order, for any number of threads.
template <class T, class Pack>
void packed_product(int64_t m, int64_t n, int64_t k, const T* a, int64_t row_step, int64_t depth_step, const Pack& pack,
                    real* c, Write write) {
  constexpr int64_t kDepth = 128, kGroup = 64;  // a panel stays in the L1 cache for a group of rows
  const int64_t panels = divide_up(n, kTileColumns), groups = divide_up(m, kGroup);
#pragma omp parallel for collapse(2) schedule(static) if (m * n * k > kSerialCount)
  for (int64_t p = 0; p < panels; p++) {
    for (int64_t group = 0; group < groups; group++) {
      alignas(64) real panel[kDepth * kTileColumns] = {};
      const int64_t column = p * kTileColumns;
      const int width = static_cast<int>(std::min<int64_t>(kTileColumns, n - column));
      for (int64_t first = 0; first < k; first += kDepth) {
        const int64_t length = std::min(kDepth, k - first);
        pack(first, length, column, width, panel);
        const Write slice_write = first == 0 ? write : Write::Add;
        for (int64_t row = group * kGroup; row < std::min(m, (group + 1) * kGroup); row += kTileRows) {
          const T* rows[kTileRows];
          for (int i = 0; i < kTileRows; i++)
            rows[i] = a + std::min(row + i, m - 1) * row_step + first * depth_step;  // rows >= m are not stored
          Tile tile;
          multiply_add(rows, depth_step, panel, length, tile);
          for (int i = 0; i < kTileRows && row + i < m; i++)
            for (int j = 0; j < width; j++) put(c[(row + i) * n + column + j], tile.at(i, j), slice_write);
        }
      }
    }
  }
}

}  // namespace mpanet::PRECISION::cpu
