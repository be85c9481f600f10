// Ranks a gallery on a GPU: scaling of rows, products with the queries and sorting, in float without TF32 (in a build
// that has f64 alone, in double). The emulation runs the same kernels.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "mpanet/network/device_rows.h"

namespace mpanet {

class Ranker {
 public:
  virtual ~Ranker() = default;
  // order (count, gallery): each query's gallery by ascending offset[g] - 2 q.g, equal ones by ascending index. A query
  // is row rows[q] of the matrix times factors[q]; count at most max_queries.
  virtual void rank(const int32_t* rows, const double* factors, int count, int32_t* order) = 0;
};

// An image is row rows[g] of the matrix times factors[g], in double and rounded once. At least one.
struct RankerGallery {
  std::vector<int32_t> rows;
  std::vector<double> factors;
  std::vector<float> offsets;
};

// Gathers the gallery on the device of `matrix`, which must outlive the ranker. Null when the GPU's free memory is less
// than `needed`, in bytes.
std::unique_ptr<Ranker> make_ranker(const DeviceRows& matrix, const RankerGallery& gallery, int max_queries,
                                    size_t* needed);

// Bytes of such a ranker's arrays besides the matrix: the `needed` of make_ranker() for a gallery of that many images.
size_t ranker_bytes(Device device, size_t gallery, int dimension, int max_queries);

// The sum of squares of each row, in double, computed on the device; NaN or infinite if a number is not finite. Equal
// rows have equal sums.
std::vector<double> squares_on_device(const DeviceRows& matrix);

}  // namespace mpanet
