// Common parts of the kernels of pattern maps and pattern pooling: strips of a row's channels, tables of the maps'
// values in shared memory, and the sums over a row's channels.
//
// A block has 256 threads. 2^shift adjacent threads take a strip of packs of N channels in one row; the other threads
// take other rows. Kernels are compiled for P = 4, 6 and 8 maps; for other p the missing maps are zero.
#pragma once
#include "kernels/cuda/numeric.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

constexpr int kPatternThreads = 256;
constexpr int kMaxParts = 8;
// Resident blocks per multiprocessor, for __launch_bounds__.
template <int P>
constexpr int kResident = sizeof(real) == 8 || P == kMaxParts ? 1 : 2;
// The multiprocessors of a large GPU. With fewer blocks a launcher takes fewer rows per block.
constexpr int64_t kMultiprocessors = 132;

// `count` strips of 2^shift packs per row.
struct Strips {
  int shift, count;
  Strips(int c, int lanes, int narrowest, int widest) : shift(narrowest), count(0) {
    while (shift < widest && lanes << shift < c) shift++;
    count = static_cast<int>(divide_up(c, int64_t{lanes} << shift));
  }
};

inline unsigned checked_grid(int64_t blocks) {
  KERNEL_CHECK(blocks < int64_t{1} << 31, "fewer than 2^31 blocks");
  return static_cast<unsigned>(blocks);
}

// Rows per block: `span`, halved until there are enough blocks for `images` times `rows`.
inline int shorter_span(int64_t images, int64_t rows, int span) {
  while (span > 16 && images * divide_up(rows, span) < kMultiprocessors) span /= 2;
  return span;
}

// Calls body<M>(row) for M rows row, row + step, ...: M = kAtOnce, then M = 1 for the remaining rows.
template <int kAtOnce, class Body>
__device__ void each_strided_row(int row, int step, int end, const Body& body) {
  for (; row + (kAtOnce - 1) * step < end; row += kAtOnce * step) body.template operator()<kAtOnce>(row);
  for (; row < end; row += step) body.template operator()<1>(row);
}

// One value per map for each of a block's rows.
using MapRow = real[kMaxParts];

// table[row][j] = value(row, j) for j < p, else 0. All threads of the block must call. The caller has the barriers.
template <class Value>
__device__ void stage_rows(MapRow* table, int rows, int p, const Value& value) {
  for (int i = static_cast<int>(threadIdx.x); i < rows * kMaxParts; i += kPatternThreads) {
    const int row = i / kMaxParts, j = i % kMaxParts;
    table[row][j] = j < p ? value(row, j) : real{0};
  }
}

template <int P>
__device__ inline void read_row(const MapRow& row, real (&to)[P]) {
  constexpr int N = kFull<real>;
  UNROLL
  for (int j = 0; j < P; j += N) {
    const Pack<real, N> pack = load_pack<N>(row + j);
    UNROLL
    for (int k = 0; k < N && j + k < P; k++) to[j + k] = pack.lane[k];
  }
}

// coefficient[j][v] = from[j * c + v] for j < p, else 0.
template <int P, int N>
__device__ inline void read_coefficients(const real* from, int c, int p, bool inside, real (&coefficient)[P][N]) {
  UNROLL
  for (int j = 0; j < P; j++) {
    UNROLL
    for (int v = 0; v < N; v++) coefficient[j][v] = 0;
    if (inside && j < p) load_lanes(from + int64_t{j} * c, coefficient[j]);
  }
}

// Each thread has sums for one pack of channels. Adds those of all threads of a pack in order, and calls finish(i,
// total) in one thread for channel i of the strip. Has two barriers: all threads of the block must call.
template <int N, class Finish>
__device__ void total_rows(real (&table)[kPatternThreads * N], const real (&sum)[N], int shift, const Finish& finish) {
  __syncthreads();
  UNROLL
  for (int v = 0; v < N; v++) table[threadIdx.x * N + v] = sum[v];
  __syncthreads();
  const int width = N << shift;
  for (int i = static_cast<int>(threadIdx.x); i < width; i += kPatternThreads) {
    real total = 0;
    for (int at = i; at < kPatternThreads * N; at += width) total += table[at];
    finish(i, total);
  }
}

// ---- Sums over a row's channels. Adjacent warps take adjacent strips of a row (shift 5 to 8), a few rows at a time.
// --

// Maximum number of rows of a block, so that the tables have 24 KB in every precision.
constexpr int kSpan = 384 / static_cast<int>(sizeof(real));

struct DotTable {
  MapRow sum[kPatternThreads / kWarp][kSpan];  // first index: the warp's index in its row
};

// Every lane has COUNT values (a power of two, at most 32). Lane i gets the sum of all lanes' value i * COUNT / 32. In
// each step two lanes whose numbers differ in one bit exchange half of their values, so 32 sums take 31 shuffles, and
// 16 take 16.
template <int COUNT, int OFFSET = kWarp / 2>
__device__ inline real sum_and_scatter(real* value, int lane) {
  constexpr int kHalf = COUNT / 2;
  const bool upper = (lane & OFFSET) != 0;
  if constexpr (COUNT == 1) value[0] += __shfl_xor_sync(kAllLanes, value[0], OFFSET);
  UNROLL
  for (int i = 0; i < kHalf; i++) {
    const real give = upper ? value[i] : value[i + kHalf], keep = upper ? value[i + kHalf] : value[i];
    value[i] = keep + __shfl_xor_sync(kAllLanes, give, OFFSET);
  }
  if constexpr (OFFSET > 1) return sum_and_scatter<(COUNT > 1 ? kHalf : 1), OFFSET / 2>(value, lane);
  return value[0];
}

// Sums dot[i][j] of all lanes for ROWS rows. For the first strip sets table.sum[warp][row + i][j] to it, else adds it.
// `warp`: the warp's index in its row.
template <int ROWS>
__device__ inline void keep_dots(DotTable& table, real (&dot)[ROWS * kMaxParts], int warp, int row, bool first_strip) {
  constexpr int kCopies = kWarp / (ROWS * kMaxParts);
  const int lane = static_cast<int>(threadIdx.x) % kWarp, mine = lane / kCopies;
  const real sum = sum_and_scatter<ROWS * kMaxParts>(dot, lane);
  if (lane % kCopies != 0) return;
  real& to = table.sum[warp][row + mine / kMaxParts][mine % kMaxParts];
  to = first_strip ? sum : to + sum;
}

// Calls finish(row, j, total) for the block's rows and maps, in one thread each. Has a barrier.
template <class Finish>
__device__ void finish_dots(const DotTable& table, int shift, int rows, int p, const Finish& finish) {
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < rows * kMaxParts; i += kPatternThreads) {
    const int row = i / kMaxParts, j = i % kMaxParts;
    if (j >= p) continue;
    real total = 0;
    for (int warp = 0; warp << 5 < 1 << shift; warp++) total += table.sum[warp][row][j];
    finish(row, j, total);
  }
}

}  // namespace mpanet::PRECISION::KERNEL_NS
