// What the kernels of the pattern maps and of pattern pooling share: how rows of c channels are cut, tables of the
// maps' values in shared memory, and the sums over a row's channels.
//
// A block has 256 threads. 2^shift of them stand side by side over a strip of packs of N channels, the others take
// further rows. Kernels are compiled for P = 4, 6 and 8 maps; p in between is done with zeros for the missing maps.
#pragma once
#include "kernels/cuda/numeric.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

constexpr int kPatternThreads = 256;
constexpr int kMaxParts = 8;
// Blocks per multiprocessor that the registers have to do for.
template <int P>
constexpr int kResident = sizeof(real) == 8 || P == kMaxParts ? 1 : 2;
// A launcher takes fewer rows per block while there are fewer blocks than this, the multiprocessors of a large GPU.
constexpr int64_t kMultiprocessors = 132;

// Strips of 2^shift packs, `count` of them in a row.
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

// `span` rows or fewer per block, so that `images` times `rows` make enough blocks.
inline int shorter_span(int64_t images, int64_t rows, int span) {
  while (span > 16 && images * divide_up(rows, span) < kMultiprocessors) span /= 2;
  return span;
}

// body<M>(row) handles the rows row, row + step, ..: M of them, kAtOnce or one.
template <int kAtOnce, class Body>
__device__ void each_strided_row(int row, int step, int end, const Body& body) {
  for (; row + (kAtOnce - 1) * step < end; row += kAtOnce * step) body.template operator()<kAtOnce>(row);
  for (; row < end; row += step) body.template operator()<1>(row);
}

// One value per map for each of a block's rows.
using MapRow = real[kMaxParts];

// table[row][j] = value(row, j) for j < p, else 0. All threads of the block; the caller has the barriers.
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

// Each thread has a pack of channels' sums; the sums of the block's rows are their totals over the threads that stand
// at the same place of the strip, added in order. finish(i, total) gets channel i of the strip, one thread each.
// Has two barriers: all threads of the block must call.
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

// ---- Sums over a row's channels. Warps stand side by side over a row (shift 5 to 8), and take a few rows at a time.
// --

// Rows of a block at most: the tables take 24 KB in every precision.
constexpr int kSpan = 384 / static_cast<int>(sizeof(real));

struct DotTable {
  MapRow sum[kPatternThreads / kWarp][kSpan];  // by the warp's place in the row
};

// Every lane has COUNT values (a power of two, at most 32); lane i gets the sum of all lanes' value i * COUNT / 32. Of
// two lanes that differ in one bit, each hands over the half of its values that the other will need, so that 31
// shuffles do for 32 sums, 16 for 16.
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

// Adds up the warp's part of ROWS rows: dot[i][j] of all its lanes goes to table.sum[place][row + i][j], at the first
// strip instead of what is there, later on top of it.
template <int ROWS>
__device__ inline void keep_dots(DotTable& table, real (&dot)[ROWS * kMaxParts], int place, int row, bool first_strip) {
  constexpr int kCopies = kWarp / (ROWS * kMaxParts);
  const int lane = static_cast<int>(threadIdx.x) % kWarp, mine = lane / kCopies;
  const real sum = sum_and_scatter<ROWS * kMaxParts>(dot, lane);
  if (lane % kCopies != 0) return;
  real& to = table.sum[place][row + mine / kMaxParts][mine % kMaxParts];
  to = first_strip ? sum : to + sum;
}

// finish(row, j, total) for the block's rows and maps, one thread each. Has a barrier.
template <class Finish>
__device__ void finish_dots(const DotTable& table, int shift, int rows, int p, const Finish& finish) {
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < rows * kMaxParts; i += kPatternThreads) {
    const int row = i / kMaxParts, j = i % kMaxParts;
    if (j >= p) continue;
    real total = 0;
    for (int place = 0; place << 5 < 1 << shift; place++) total += table.sum[place][row][j];
    finish(row, j, total);
  }
}

}  // namespace mpanet::PRECISION::KERNEL_NS
