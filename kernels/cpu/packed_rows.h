// The matrix product of the evaluation: inner products of every row of one matrix with every row of another.
//
// Both matrices are packed once into the order in which the product reads them, so the gallery is packed once for all
// blocks of queries. The order of summation depends neither on a row's index nor on the number of threads. Equal rows
// therefore give equal products, to the bit; a BLAS does not guarantee this for the rows and columns of a partial tile.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>

#include "kernels/cpu/panel_kernels.h"

namespace mpanet {

// Whether the product of a left and a right row, by their indices, is needed.
using PairFilter = std::function<bool(int left, int right)>;

class PackedRows {
 public:
  enum class Side { Left, Right };
  PackedRows(Side side, int max_rows, int length);

  // Packs `rows` (count, length), with row r multiplied by factors[r]. count: 0..max_rows.
  void assign(const float* rows, const double* factors, int count);
  int rows() const { return rows_; }
  // rows() rounded up to whole panels. The rows beyond rows() are zeros. multiply() writes their products on the right.
  int padded_rows() const;

 private:
  friend void multiply(const PackedRows& left, const PackedRows& right, float* products, ptrdiff_t stride,
                       const PairFilter& wanted);
  void pack_panel(int panel, const float* rows, const double* factors);
  // The panel's elements begin..begin+size of each row: (size, panel_stride).
  float* block(int panel, int begin, int size) const;

  // Alignment to cache lines: the load of a vector that crosses two lines costs as much as two loads.
  struct alignas(64) Line {
    float values[16];
  };

  const cpu::PanelKernels& kernels_;
  int panel_rows_, panel_stride_;  // the stride: panel_rows_ in whole vectors
  int max_rows_, length_, rows_ = 0;
  std::unique_ptr<Line[]> values_;  // (block of the length, panel, element of the block, row of the panel)
};

// products[i * stride + j] = <left row i, right row j> for i < left.rows(), j < right.padded_rows(). A product that is
// not `wanted` may be 0 instead: two panels without a wanted pair of rows are not multiplied. Without a filter all
// products are wanted.
void multiply(const PackedRows& left, const PackedRows& right, float* products, ptrdiff_t stride,
              const PairFilter& wanted = {});

}  // namespace mpanet
