// Ranks a gallery on a GPU: products with the queries and sorting, in float without TF32 (in a build that has f64
// alone, in double). The emulation runs the same kernels.
#pragma once
#include <cstdint>
#include <memory>

#include "core/device.h"

namespace mpanet {

class Ranker {
 public:
  virtual ~Ranker() = default;
  // order (count, gallery): each query's gallery by ascending offset[g] - 2 q.g, equal ones by ascending index.
  // queries (count, dimension), count at most max_queries.
  virtual void rank(const float* queries, int count, int32_t* order) = 0;
};

struct RankerGallery {
  const float* rows = nullptr;     // (count, dimension)
  const float* offsets = nullptr;  // (count)
  int count = 0, dimension = 0;    // both at least 1
};

// Copies the gallery to the device. Null when the GPU's free memory is less than `needed`, in bytes. CheckError for the
// cpu, which ranks without this.
std::unique_ptr<Ranker> make_ranker(Device device, const RankerGallery& gallery, int max_queries, size_t* needed);

}  // namespace mpanet
