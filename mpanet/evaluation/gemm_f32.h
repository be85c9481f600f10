// The matrix product of the evaluation, in one place: products of every row of one matrix with every row of another.
//
// Both matrices are packed once into the order in which the product reads them, so a matrix that meets many others (the
// gallery) is rearranged only once. Every product is summed in the same order wherever its rows stand and however many
// threads run, so equal rows give equal products to the bit; a library's kernels for the rest of a matrix may not.
#pragma once
#include <cstddef>
#include <memory>

namespace mpanet {

class PackedRows {
 public:
  enum class Side { Left, Right };
  PackedRows(Side side, int max_rows, int length);

  // Takes `rows` (count, length), row r multiplied by factors[r]. count: 0..max_rows.
  void assign(const float* rows, const double* factors, int count);
  int rows() const { return rows_; }
  // Rows up to which products are written: a few more than rows(), zeros.
  int padded_rows() const;

 private:
  friend void multiply(const PackedRows& left, const PackedRows& right, float* products, ptrdiff_t stride);
  void pack_panel(int panel, const float* rows, const double* factors);
  // The panel's numbers begin..begin+size of each row: (size, panel_rows).
  float* block(int panel, int begin, int size) const;

  int panel_rows_, max_rows_, length_, rows_ = 0;
  std::unique_ptr<float[]> values_;  // by block of the length, panel, place in the block, row of the panel
};

// products[i * stride + j] = <left row i, right row j> for i < left.padded_rows(), j < right.padded_rows().
void multiply(const PackedRows& left, const PackedRows& right, float* products, ptrdiff_t stride);

}  // namespace mpanet
