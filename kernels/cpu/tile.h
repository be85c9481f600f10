// The micro-kernel of the matrix products in plain loops (product.h): a tile of sums in registers.
//
//   sum[m][j] += sum over i of left(m, i) * panel[i][j]      m < kTileRows, j < kColumns, i < length
//
// `panel` (length, kColumns) is a slice of the right factor, packed so that its loads are contiguous. Each sum is added
// in order of i, so its bits do not depend on its position or on the threads.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace mpanet::cpu {

// The sums of 8 rows x 3 vectors and a panel's row fit into 32 vector registers, those of 4 x 3 into 16.
#if defined(__AVX512F__)
constexpr int kVectorBytes = 64, kTileRows = 8;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32, kTileRows = 4;
#else
constexpr int kVectorBytes = 16, kTileRows = 4;
#endif

template <class Real, int kVectors>
struct Tile {
  static constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(Real));
  static constexpr int kColumns = kVectors * kLanes;
  typedef Real Vector __attribute__((vector_size(kVectorBytes)));

  Vector sum[kTileRows][kVectors] = {};

  Real at(int row, int column) const { return sum[row][column / kLanes][column % kLanes]; }

  // left(m, i) returns a Real.
  template <class Left>
  void multiply_add(const Left& left, const Real* panel, int64_t length) {
    Vector sums[kTileRows][kVectors];  // copied one by one: an array copy would keep the sums in memory
#pragma GCC unroll 8
    for (int m = 0; m < kTileRows; m++)
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; v++) sums[m][v] = sum[m][v];
    for (int64_t i = 0; i < length; i++) {
      Vector row[kVectors];
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; v++) row[v] = load(panel + i * kColumns + v * kLanes);
#pragma GCC unroll 8
      for (int m = 0; m < kTileRows; m++) {
        const Real a = left(m, i);
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; v++) sums[m][v] += a * row[v];
      }
    }
#pragma GCC unroll 8
    for (int m = 0; m < kTileRows; m++)
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; v++) sum[m][v] = sums[m][v];
  }

  // to[m * stride + j] = sum[m][j], or += when `add`.
  void store(Real* to, ptrdiff_t stride, bool add) const {
#pragma GCC unroll 8
    for (int m = 0; m < kTileRows; m++)
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; v++) {
        Real* const at = to + m * stride + v * kLanes;
        const Vector value = add ? load(at) + sum[m][v] : sum[m][v];
        std::memcpy(at, &value, sizeof value);
      }
  }

 private:
  static Vector load(const Real* from) {
    Vector vector;
    std::memcpy(&vector, from, sizeof vector);
    return vector;
  }
};

}  // namespace mpanet::cpu
