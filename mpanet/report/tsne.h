// t-SNE (van der Maaten and Hinton, "Visualizing Data using t-SNE", JMLR 2008), exact: time is O(n^2) an iteration.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace mpanet {

struct TsneOptions {
  double perplexity = 30;  // at most (n - 1) / 3 is used
  int iterations = 500;    // a quarter of them with early exaggeration
  uint64_t seed = 1;       // of the initial positions
};

// A point in the plane for each of n items with the given squared distances (n, n), centred at 0. The same bits for any
// number of threads. One item lies at 0.
std::vector<std::array<double, 2>> tsne(const std::vector<float>& squared_distances, size_t n,
                                        const TsneOptions& options = {});

}  // namespace mpanet
