// Loops over items whose work may throw, as when memory runs out. An exception that leaves an OpenMP region ends the
// program; these throw it to their caller.
#pragma once
#include <omp.h>

#include <algorithm>
#include <vector>

#include "core/base/threads.h"

namespace mpanet {

// Calls work(item, scratch) for every item < count, on as many threads as OpenMP has. Each thread has a scratch of its
// own, which make() returns.
template <class Make, class Work>
void for_each_item(size_t count, Make make, Work work) {
  const auto threads = std::min(static_cast<size_t>(omp_get_max_threads()), count);
  std::vector<decltype(make())> scratch;
  scratch.reserve(threads);
  for (size_t t = 0; t < threads; t++) scratch.push_back(make());
  parallel_for(static_cast<int>(threads), count,
               [&](size_t item, int thread) { work(item, scratch[static_cast<size_t>(thread)]); });
}

// The same without scratch.
template <class Work>
void for_each_item(size_t count, Work work) {
  parallel_for(omp_get_max_threads(), count, [&](size_t item, int) { work(item); });
}

}  // namespace mpanet
