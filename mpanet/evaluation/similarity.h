// The similarity of a query and an image: one number, larger for nearer images.
//
//   UnitEuclidean   q.g of the L2-normalised embeddings. The squared distance of unit vectors is 2 - 2 q.g; the product
//                   distinguishes near neighbours that the rounding of 2 - 2 q.g would tie. An embedding of zeros is
//                   not normalised: its distance of 1 from any unit vector equals that of a product of 1/2.
//   Cosine          q.g of the L2-normalised embeddings; with zeros 0.
//   Euclidean       s^2 (q.g - |g|^2 / 2): half the squared distance without |q|^2, which is the same for all of a
//                   query's gallery. s, a power of two, keeps products of any finite embeddings within float32's
//                   range, also those of rows that are 2^120 times shorter than the longest.
//
// Lengths are computed in double. Equal embeddings give bit-identical numbers, at any index and for any number of
// threads.
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "kernels/cpu/packed_rows.h"
#include "mpanet/evaluation/plan.h"
#include "mpanet/network/device_rows.h"

namespace mpanet {

// Embeddings on a GPU, with the squared length of each row.
struct DeviceEmbeddings {
  std::shared_ptr<const DeviceRows> rows;
  std::vector<double> squares;
};

// One row per image: the plan's queries, then its gallery. Finite, not normalised. On the host, on a device, or on
// both.
struct Embeddings {
  int dimension = 0;
  std::vector<float> values = {};  // (queries + gallery, dimension)
  std::shared_ptr<const DeviceEmbeddings> on_device = {};
  size_t count() const { return on_device ? on_device->rows->count() : values.size() / static_cast<size_t>(dimension); }
  const float* row(size_t index) const { return values.data() + index * dimension; }
};

// The sum of squares of each row; CheckError for a number that is not finite.
std::vector<double> squared_lengths(const float* rows, size_t count, int dimension);
// CheckError for a square that is not finite, hence of a row that is not: squares of finite floats are finite in
// double.
void check_squares(const std::vector<double>& squares);

// The factor of a row before the product. For Euclidean, `largest` is the largest squared length of all rows of both
// sides; it determines s.
std::vector<double> row_factors(Distance distance, const std::vector<double>& squares, double largest);

// For the ranking on a GPU, which does not compute similarities from the products: the offset of each row after
// scaling. product - offset / 2 is the similarity, up to rounding. In UnitEuclidean a row of zeros has offset -1, which
// makes its similarity 1/2.
std::vector<float> row_offsets(Distance distance, const std::vector<double>& squares,
                               const std::vector<double>& factors);

// Rows that are multiplied with many blocks of other rows.
class SimilarityRows {
 public:
  SimilarityRows(Distance distance, double largest, PackedRows::Side side, int max_rows, int dimension)
      : distance_(distance), largest_(largest), dimension_(dimension), rows_(side, max_rows, dimension) {}

  // Replaces the content with `count` rows.
  void assign(const float* rows, int count);
  int rows() const { return rows_.rows(); }
  int padded_rows() const { return rows_.padded_rows(); }

  // Similarities of every row of `queries` with every row of `gallery`: (queries.rows, stride), stride at least
  // gallery.padded_rows(); `out` has space for queries.padded_rows() rows. For a pair that is not `wanted` the number
  // may be any finite one.
  friend void similarities(const SimilarityRows& queries, const SimilarityRows& gallery, float* out, ptrdiff_t stride,
                           const PairFilter& wanted);

 private:
  Distance distance_;
  double largest_;
  int dimension_;
  PackedRows rows_;
  std::vector<double> half_squares_;  // half the squared length of each row after scaling
  std::vector<int> zeros_;            // rows of zeros
};

void similarities(const SimilarityRows& queries, const SimilarityRows& gallery, float* out, ptrdiff_t stride,
                  const PairFilter& wanted = {});

}  // namespace mpanet
