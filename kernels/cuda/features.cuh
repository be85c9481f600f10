// Common parts of the kernels on feature matrices f (n, d): columns in packs of 16 bytes, lists of rows that a block
// chooses on the device, and the distances of all pairs of rows.
#pragma once
#include "kernels/cuda/reduce.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

// Whether rows of `width` reals that begin at these addresses can be read in packs of kFull<real>.
template <class... T>
bool real_packs_fit(int64_t width, const T*... start) {
  return width % kFull<real> == 0 && ((reinterpret_cast<uintptr_t>(start) % 16 == 0) && ...);
}

// Calls body(std::integral_constant<int, N>), with N lanes per pack of reals.
template <class Body>
void with_real_lanes(bool packed, const Body& body) {
  if (packed)
    body(std::integral_constant<int, kFull<real>>{});
  else
    body(std::integral_constant<int, 1>{});
}

// Rows that a block of T threads chose from T candidates, ascending.
template <int T>
struct RowList {
  int warp_count[T / kWarp];
  int row[T];
  real weight[T];
};

// Every thread has one candidate row with a weight. Writes the wanted ones to the list, in thread order, and returns
// their number. All threads of the block must call. Has barriers before the first write and after the last.
template <int T>
__device__ int collect_rows(bool wanted, int row, real weight, RowList<T>& list) {
  const unsigned votes = __ballot_sync(kAllLanes, wanted);
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  __syncthreads();
  if (lane == 0) list.warp_count[warp] = __popc(votes);
  __syncthreads();
  int before = __popc(votes & ((1u << lane) - 1)), length = 0;
  for (int w = 0; w < T / kWarp; w++) {
    if (w < warp) before += list.warp_count[w];
    length += list.warp_count[w];
  }
  if (wanted) list.row[before] = row, list.weight[before] = weight;
  __syncthreads();
  return length;
}

// Calls body(row, weight) in every thread for the rows of begin .. n - 1 for which wanted(row, weight) returns true and
// sets the weight, ascending. All threads must call. Only one thread calls wanted() for a row, so divisions belong
// there.
template <int T, class Wanted, class Body>
__device__ void each_weighted_row(int begin, int n, RowList<T>& list, const Wanted& wanted, const Body& body) {
  for (int tile = begin; tile < n; tile += T) {
    const int candidate = tile + static_cast<int>(threadIdx.x);
    real weight = 0;
    const bool chosen = candidate < n && wanted(candidate, weight);
    const int length = collect_rows(chosen, candidate, weight, list);
    for (int i = 0; i < length; i++) body(list.row[i], list.weight[i]);
  }
}

// The same without weights.
template <int T, class Wanted, class Body>
__device__ void each_chosen_row(int begin, int n, RowList<T>& list, const Wanted& wanted, const Body& body) {
  each_weighted_row(
      begin, n, list, [&](int row, real&) { return wanted(row); }, [&](int row, real) { body(row); });
}

// The sum of `count` values that are `stride` apart, in order. Several are loaded at once, because latency decides.
__device__ inline real sum_in_order(const real* from, int count, int64_t stride) {
  constexpr int kAtOnce = 16;
  real sum = 0;
  ONE_BY_ONE
  for (int first = 0; first < count; first += kAtOnce) {
    real values[kAtOnce];
    UNROLL
    for (int i = 0; i < kAtOnce; i++) values[i] = first + i < count ? from[(first + i) * stride] : real{0};
    UNROLL
    for (int i = 0; i < kAtOnce; i++) sum += values[i];
  }
  return sum;
}

// ---- All pairs: |f_i - f_l|^2 as sums of squared differences, because |a|^2 + |b|^2 - 2 a b cancels. ---------------
// A block sums one tile of 64 x 64 pairs over 256 columns, 32 columns at a time in shared memory, 4 x 4 pairs per
// thread. A second kernel adds the sums of all column ranges in order. f is read from DRAM once: n / 64 blocks read a
// row's columns, and repeated reads hit L2.
constexpr int kPairTile = 64, kPairSlab = 32, kPairColumns = 256, kPairThreads = 256;

struct PairShared {
  // One more than the tile, so that a warp stores 8 packs of 4 rows and reads 16 neighbours without bank conflicts.
  real a[kPairSlab][kPairTile + 1], b[kPairSlab][kPairTile + 1];
  int rows_a[kPairTile], rows_b[kPairTile];
  RowList<kPairThreads> list;
};

inline int pair_splits(int d) { return static_cast<int>(divide_up(d, kPairColumns)); }
inline int64_t pair_partials(int n, int d) { return int64_t{pair_splits(d)} * n * n; }

// Leading rows are those with group[row] == row (group null: all). Lists those with the ranks of tile_a in rows_a and
// of tile_b in rows_b. Returns the number of all leading rows.
__device__ inline int choose_pair_rows(const int32_t* group, int n, int tile_a, int tile_b, PairShared& s) {
  int chosen = 0;
  for (int tile = 0; tile < n; tile += kPairThreads) {
    const int row = tile + static_cast<int>(threadIdx.x);
    const int length = collect_rows(row < n && (group == nullptr || group[row] == row), row, 0, s.list);
    if (static_cast<int>(threadIdx.x) < length) {
      const int rank = chosen + static_cast<int>(threadIdx.x), at = rank % kPairTile;
      if (rank / kPairTile == tile_a) s.rows_a[at] = s.list.row[threadIdx.x];
      if (rank / kPairTile == tile_b) s.rows_b[at] = s.list.row[threadIdx.x];
    }
    chosen += length;
  }
  __syncthreads();
  return chosen;
}

// to[k][i] = f[rows[i]][column + k]; 0 for i >= count and columns >= end.
template <int N>
__device__ inline void load_slab(const real* f, int d, const int* rows, int count, int column, int end,
                                 real (&to)[kPairSlab][kPairTile + 1]) {
  constexpr int kPacks = kPairSlab / N;
  for (int p = static_cast<int>(threadIdx.x); p < kPairTile * kPacks; p += kPairThreads) {
    const int i = p / kPacks, k = p % kPacks * N;
    Pack<real, N> v{};
    if (i < count && column + k < end) v = load_pack<N>(f + int64_t{rows[i]} * d + column + k);
    for (int j = 0; j < N; j++) to[k + j][i] = v.lane[j];
  }
}

// Kernels in a header have internal linkage.
namespace {

// Writes partial (splits, n, n) for leading rows i <= l. Grid: pairs of tiles a <= b, splits.
template <int N>
__global__ void __launch_bounds__(kPairThreads)
    pair_partials_kernel(const real* f, const int32_t* group, int n, int d, real* partial) {
  PairShared& s = shared_memory<PairShared>();
  const int tiles = static_cast<int>(divide_up(n, kPairTile));
  int tile_a = 0, tile_b = static_cast<int>(blockIdx.x);
  for (; tile_b >= tiles - tile_a; tile_a++) tile_b -= tiles - tile_a;
  tile_b += tile_a;
  const int chosen = choose_pair_rows(group, n, tile_a, tile_b, s);
  const int count_a = chosen - tile_a * kPairTile, count_b = chosen - tile_b * kPairTile;
  if (count_b <= 0) return;
  const int begin = static_cast<int>(blockIdx.y) * kPairColumns,
            end = d - begin < kPairColumns ? d : begin + kPairColumns;
  const int i0 = static_cast<int>(threadIdx.x) / 16 * 4, l0 = static_cast<int>(threadIdx.x) % 16;
  const bool busy = i0 < count_a;
  real sum[4][4] = {};
  for (int column = begin; column < end; column += kPairSlab) {
    load_slab<N>(f, d, s.rows_a, count_a, column, end, s.a);
    load_slab<N>(f, d, s.rows_b, count_b, column, end, s.b);
    __syncthreads();
    for (int k = 0; busy && k < kPairSlab; k++) {
      real a[4], b[4];
      for (int i = 0; i < 4; i++) a[i] = s.a[k][i0 + i], b[i] = s.b[k][l0 + 16 * i];
      for (int i = 0; i < 4; i++)
        for (int l = 0; l < 4; l++) sum[i][l] = fma(a[i] - b[l], a[i] - b[l], sum[i][l]);
    }
    __syncthreads();
  }
  for (int i = 0; i < 4; i++)
    for (int l = 0; l < 4; l++) {
      if (i0 + i >= count_a || l0 + 16 * l >= count_b) continue;
      const int row = s.rows_a[i0 + i], other = s.rows_b[l0 + 16 * l];
      if (row <= other) partial[(int64_t{blockIdx.y} * n + row) * n + other] = sum[i][l];
    }
}

// distance (n, n) = finish(sum of the partials) for pairs of leading rows, and finish(0) for the others and, with
// `group`, for the diagonal.
template <class Finish>
__global__ void pair_distances_kernel(const real* partial, const int32_t* group, int n, int splits, real* distance) {
  const int row = static_cast<int>(blockIdx.x);
  const int other = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x);
  if (other < row || other >= n) return;
  real sum = 0;
  if (group == nullptr || (row != other && group[row] == row && group[other] == other))
    sum = sum_in_order(partial + int64_t{row} * n + other, splits, int64_t{n} * n);
  const real value = Finish{}(sum);
  distance[int64_t{row} * n + other] = value;
  distance[int64_t{other} * n + row] = value;
}

}  // namespace

// distance (n, n) of all rows, or with `group` of those with group[i] == i. partial: pair_partials(n, d) reals.
template <class Finish>
void pair_distances(Stream stream, const real* f, const int32_t* group, int n, int d, real* partial, real* distance) {
  const auto tiles = static_cast<unsigned>(divide_up(n, kPairTile)), splits = static_cast<unsigned>(pair_splits(d));
  with_real_lanes(real_packs_fit(d, f), [&](auto lanes) {
    LAUNCH((pair_partials_kernel<lanes()>), dim3(tiles * (tiles + 1) / 2, splits), kPairThreads, sizeof(PairShared),
           stream, f, group, n, d, partial);
  });
  constexpr int kThreads = 128;
  LAUNCH((pair_distances_kernel<Finish>), dim3(static_cast<unsigned>(n), static_cast<unsigned>(divide_up(n, kThreads))),
         kThreads, 0, stream, partial, group, n, static_cast<int>(splits), distance);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
