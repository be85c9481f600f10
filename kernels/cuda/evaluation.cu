// Evaluation: distances of queries and gallery from their products, and each query's gallery in order.
//   squared_distances   |q|^2 + |g|^2 - 2 q g, replaces the products. Reads and writes them once; norms come from L2
//   rank                sorts runs of 2048 gallery images in shared memory (bitonic; the key is (distance, index), so
//                       the sort is stable), then merges pairs of runs: an element's new index is its index in its own
//                       run plus the number of elements before it in the other run, found by bisection. Only indices
//                       move. A gallery of G images has G / 2048 runs per query, and log2(G / 2048) merges. Every merge
//                       reads and writes the order once, and reads distances from L2
#include <limits>

#include "kernels/cuda/features.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr int kThreads = 256, kRun = 2048;

// blockIdx.x = query * blocks + block.
template <int N>
__global__ void __launch_bounds__(kThreads) distances_kernel(const real* query_norms, const real* gallery_norms,
                                                             int64_t gallery, unsigned blocks, real* distance) {
  const int64_t query = blockIdx.x / blocks;
  const int64_t g = (int64_t{blockIdx.x % blocks} * kThreads + threadIdx.x) * N;
  if (g >= gallery) return;
  const real query_norm = query_norms[query];
  const Pack<real, N> norm = load_pack<N>(gallery_norms + g);
  Pack<real, N> v = load_pack<N>(distance + query * gallery + g);
  for (int j = 0; j < N; j++) v.lane[j] = query_norm + norm.lane[j] - 2 * v.lane[j];
  store_pack(distance + query * gallery + g, v);
}

// Whether gallery image a ranks before b: by distance, then by index. NaN ranks after every number.
__device__ bool before(real distance_a, int a, real distance_b, int b) {
  if (distance_a < distance_b) return true;
  if (distance_b < distance_a) return false;
  const bool last_a = distance_a != distance_a, last_b = distance_b != distance_b;
  return last_a == last_b ? a < b : last_b;
}

struct SortShared {
  real distance[kRun];
  int index[kRun];
};

// Sorts `size` elements (a power of two, at most kRun) with size / 2 threads.
__device__ void sort_shared(SortShared& s, int size) {
  const int thread = threadIdx.x;
  for (int run = 2; run <= size; run *= 2)
    for (int step = run / 2; step > 0; step /= 2) {
      __syncthreads();
      const int low = 2 * thread - (thread & (step - 1)), high = low + step;
      const bool ascending = (low & run) == 0;
      if (before(s.distance[high], s.index[high], s.distance[low], s.index[low]) != ascending) continue;
      const real distance = s.distance[low];
      const int index = s.index[low];
      s.distance[low] = s.distance[high], s.index[low] = s.index[high];
      s.distance[high] = distance, s.index[high] = index;
    }
  __syncthreads();
}

// Sorts every run of a query's gallery. A short last run is filled up with elements that rank last.
__global__ void __launch_bounds__(kRun / 2)
    sort_runs_kernel(const real* distance, int64_t gallery, unsigned runs, int size, int32_t* order) {
  SortShared& s = shared_memory<SortShared>();
  const int64_t row = blockIdx.x / runs * gallery, start = int64_t{blockIdx.x % runs} * kRun;
  for (int i = threadIdx.x; i < size; i += size / 2) {
    const bool inside = start + i < gallery;
    s.distance[i] = inside ? distance[row + start + i] : std::numeric_limits<real>::quiet_NaN();
    s.index[i] = inside ? static_cast<int>(start + i) : std::numeric_limits<int>::max();
  }
  sort_shared(s, size);
  for (int i = threadIdx.x; i < size && start + i < gallery; i += size / 2) order[row + start + i] = s.index[i];
}

// Merges pairs of runs of `width` elements.
__global__ void __launch_bounds__(kThreads) merge_runs_kernel(const real* distance, int64_t gallery, unsigned blocks,
                                                              int64_t width, const int32_t* from, int32_t* to) {
  const int64_t row = blockIdx.x / blocks * gallery, at = int64_t{blockIdx.x % blocks} * kThreads + threadIdx.x;
  if (at >= gallery) return;
  const int index = from[row + at];
  const real own = distance[row + index];
  const int64_t run = at / width, other = (run ^ 1) * width;
  int64_t low = other < gallery ? other : gallery, high = gallery - low < width ? gallery : low + width;
  const int64_t begin = low;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    const int candidate = from[row + middle];
    if (before(distance[row + candidate], candidate, own, index))
      low = middle + 1;
    else
      high = middle;
  }
  to[row + run / 2 * 2 * width + at % width + (low - begin)] = index;
}

int merges(int64_t gallery) {
  int count = 0;
  for (int64_t width = kRun; width < gallery; width *= 2) count++;
  return count;
}

unsigned query_grid(int64_t rows, int64_t blocks) {
  KERNEL_CHECK(rows * blocks <= std::numeric_limits<int32_t>::max(), "fewer queries at a time");
  return static_cast<unsigned>(rows * blocks);
}

}  // namespace

void squared_distances(Stream stream, const real* query_norms, const real* gallery_norms, int64_t queries,
                       int64_t gallery, real* distance) {
  KERNEL_CHECK(queries > 0 && gallery > 0, "queries and a gallery");
  with_real_lanes(real_packs_fit(gallery, gallery_norms, distance), [&](auto lanes) {
    const int64_t blocks = divide_up(gallery, kThreads * lanes);
    LAUNCH((distances_kernel<lanes()>), query_grid(queries, blocks), kThreads, 0, stream, query_norms, gallery_norms,
           gallery, static_cast<unsigned>(blocks), distance);
  });
}

size_t rank_workspace_bytes(int64_t queries, int64_t gallery) {
  return merges(gallery) == 0 ? 0 : sizeof(int32_t) * static_cast<size_t>(queries * gallery);
}

void rank(Stream stream, const real* distance, int64_t queries, int64_t gallery, int32_t* order, void* workspace) {
  KERNEL_CHECK(queries > 0 && gallery > 0, "queries and a gallery");
  KERNEL_CHECK(gallery < std::numeric_limits<int32_t>::max(), "a gallery that 32 bits can count");
  int size = 2;
  while (size < kRun && size < gallery) size *= 2;
  // Merges alternate between two arrays, so that the last one writes `order`.
  int32_t* from = merges(gallery) % 2 == 0 ? order : static_cast<int32_t*>(workspace);
  int32_t* to = merges(gallery) % 2 == 0 ? static_cast<int32_t*>(workspace) : order;
  const int64_t runs = divide_up(gallery, kRun), blocks = divide_up(gallery, kThreads);
  LAUNCH(sort_runs_kernel, query_grid(queries, runs), static_cast<unsigned>(size / 2), sizeof(SortShared), stream,
         distance, gallery, static_cast<unsigned>(runs), size, from);
  for (int64_t width = kRun; width < gallery; width *= 2) {
    LAUNCH(merge_runs_kernel, query_grid(queries, blocks), kThreads, 0, stream, distance, gallery,
           static_cast<unsigned>(blocks), width, from, to);
    int32_t* merged = to;
    to = from;
    from = merged;
  }
}

}  // namespace mpanet::PRECISION::KERNEL_NS
