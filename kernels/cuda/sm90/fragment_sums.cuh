// What a convolution's epilogue computes of the results that a warpgroup holds in registers: tile_sums.cuh has the same
// of results in shared memory. A part is 64 rows, 16 of each warp.
//
// A fragment is 16 rows of 32 columns of a warp, as wgmma leaves them: of lane l, at[j][h][e] is row l / 4 + 8 h,
// column 8 j + 2 (l % 4) + e. Its eight columns are merged over the eight lanes that share them in three exchanges. In
// each, a lane gives away half of its columns and receives its own half's values of another lane, so that it ends with
// the values of one column, owned_column(). Warps are merged in order, through shared memory: every run gives the same
// bits.
//
// A kind of sums has
//   kValues       numbers that it computes for a column; 0: none
//   kNorms        tensors z that it reads
//   void begin(int rows)               a part's rows that exist
//   void gate(real (&)[4][2][2], const Gates&)   may set results to zero before they are rounded
//   void reduce(stored, z, column, to) of a fragment as it is stored and the same elements of z, `column` is its first
//                                      one in the output: the lane's values of its own column
//   void write(part, columns, at, values)   merges the four warps' values[kValues][4] of column `at`, and writes them
#pragma once
#include "kernels/cuda/sm90/wgmma_memory.cuh"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::KERNEL_NS {

template <class T>
using Fragment = T[4][2][2];
constexpr int kFragmentColumns = 32, kOwned = 8;

__device__ inline int lane_of_warp() { return static_cast<int>(threadIdx.x) % kWarp; }
// The column of a fragment that a lane owns after the exchanges.
__device__ inline int owned_column() {
  const int own = lane_of_warp() / 4;
  return own / 2 * 8 + lane_of_warp() % 4 * 2 + own % 2;
}

// Values of the eight columns of a lane, V for each; afterwards at[v][0] are the merged values of the column that it
// owns. merge(level, values, others): the values of some rows and those of as many other rows become those of both.
template <int V, class Merge>
__device__ __forceinline__ void exchange_columns(real (&at)[V][kOwned], const Merge& merge) {
  UNROLL
  for (int kept = kOwned / 2, level = 0; kept > 0; kept /= 2, level++) {
    const bool upper = (lane_of_warp() / 4 & kept) != 0;
    UNROLL
    for (int i = 0; i < kept; i++) {
      real own[V], other[V];
      UNROLL
      for (int v = 0; v < V; v++) {
        own[v] = upper ? at[v][i + kept] : at[v][i];
        other[v] = __shfl_xor_sync(~0u, upper ? at[v][i] : at[v][i + kept], kept * 4);
      }
      merge(level, own, other);
      UNROLL
      for (int v = 0; v < V; v++) at[v][i] = own[v];
    }
  }
}

// The bits of a ReLU's mask for a lane's two rows of 32 columns: those of its own columns of chunk j are bits 8 j, + 1.
struct Gates {
  uint32_t rows[2] = {};
};

struct NoFragmentSums {
  static constexpr int kValues = 0, kNorms = 0;
  __device__ void begin(int) {}
  __device__ void gate(Fragment<real>&, const Gates&) const {}
};

// Mean and M2 = sum (y - mean)^2, by Chan's formula from two rows up: of n_a and n_b rows,
//   mean = mean_a + (mean_b - mean_a) n_b / n,  M2 = M2_a + M2_b + (mean_b - mean_a)^2 n_a n_b / n
// The counts are the same for all columns, so their quotients are computed once for a part.
struct FragmentMoments {
  static constexpr int kValues = 2, kNorms = 0, kLevels = 4;
  real* to;  // of ConvEpilogue, or null
  real share[kLevels] = {}, product[kLevels] = {};
  int rows = 0;

  __device__ explicit FragmentMoments(real* moments) : to(moments) {}

  __device__ static int rows_of_warp(int rows, int warp) { return min(max(rows - warp * kWarpRows, 0), kWarpRows); }
  __device__ static void weigh(int own, int other, real& share, real& product) {
    const real quotient = static_cast<real>(other) / static_cast<real>(max(own + other, 1));
    share = quotient, product = static_cast<real>(own) * quotient;
  }
  __device__ static void combine(real share, real product, real& mean, real& m2, real other_mean, real other_m2) {
    const real d = other_mean - mean;
    mean += d * share;
    m2 += other_m2 + d * d * product;
  }

  __device__ void begin(int rows_of_part) {
    rows = rows_of_part;
    const int own = rows_of_warp(rows, static_cast<int>(threadIdx.x) / kWarp % kGroupWarps);
    const int row = lane_of_warp() / 4;
    int count = (row < own) + (row + 8 < own);
    weigh(row < own, row + 8 < own, share[0], product[0]);
    UNROLL
    for (int level = 1; level < kLevels; level++) {
      const int other = __shfl_xor_sync(~0u, count, kWarp >> level);
      weigh(count, other, share[level], product[level]);
      count += other;
    }
  }
  __device__ void gate(Fragment<real>&, const Gates&) const {}
  __device__ __forceinline__ void reduce(const Fragment<real>& y, const Fragment<real> (&)[1], int,
                                         real (&to_lane)[kValues]) const {
    real at[kValues][kOwned];
    UNROLL
    for (int c = 0; c < kOwned; c++) {
      at[0][c] = y[c / 2][0][c % 2], at[1][c] = 0;
      combine(share[0], product[0], at[0][c], at[1][c], y[c / 2][1][c % 2], 0);
    }
    exchange_columns(at, [&](int level, real(&own)[kValues], const real(&other)[kValues]) {
      combine(share[level + 1], product[level + 1], own[0], own[1], other[0], other[1]);
    });
    to_lane[0] = at[0][0], to_lane[1] = at[1][0];
  }
  __device__ void write(int64_t part, int columns, int at, const real (&values)[kValues][kGroupWarps]) const {
    real mean = values[0][0], m2 = values[1][0];
    UNROLL
    for (int warp = 1; warp < kGroupWarps; warp++) {
      real share_of_warp, product_of_warp;
      weigh(min(rows, warp * kWarpRows), rows_of_warp(rows, warp), share_of_warp, product_of_warp);
      combine(share_of_warp, product_of_warp, mean, m2, values[0][warp], values[1][warp]);
    }
    real* const own = to + part * kValues * columns + at;
    own[0] = mean, own[columns] = m2;
  }
};

// Of a gradient g, set to zero where the ReLU's sign is: sum g, and sum g (z - mean) for each of K norms.
template <int K>
struct FragmentGradients {
  static constexpr int kValues = 1 + K, kNorms = K;
  const GradEpilogue& epilogue;
  int columns;  // of the output

  __device__ void begin(int) {}
  __device__ void gate(Fragment<real>& g, const Gates& gates) const {
    UNROLL
    for (int j = 0; j < 4; j++) {
      UNROLL
      for (int h = 0; h < 2; h++) {
        UNROLL
        for (int e = 0; e < 2; e++) g[j][h][e] = (gates.rows[h] >> (8 * j + e) & 1) != 0 ? g[j][h][e] : real{0};
      }
    }
  }
  __device__ __forceinline__ void reduce(const Fragment<real>& g, const Fragment<real> (&z)[K], int column,
                                         real (&to_lane)[kValues]) const {
    real at[kValues][kOwned];
    UNROLL
    for (int c = 0; c < kOwned; c++) at[0][c] = g[c / 2][0][c % 2] + g[c / 2][1][c % 2];
    UNROLL
    for (int k = 0; k < K; k++) {
      UNROLL
      for (int j = 0; j < 4; j++) {
        const int own = column + 8 * j + lane_of_warp() % 4 * 2;
        Pack<real, 2> mean = {};  // columns that do not exist are zero in g
        if (own < columns) mean = load_pack<2>(epilogue.mean[k] + own);
        UNROLL
        for (int e = 0; e < 2; e++)
          at[1 + k][2 * j + e] =
              g[j][0][e] * (z[k][j][0][e] - mean.lane[e]) + g[j][1][e] * (z[k][j][1][e] - mean.lane[e]);
      }
    }
    exchange_columns(at, [](int, real(&own)[kValues], const real(&other)[kValues]) {
      UNROLL
      for (int v = 0; v < kValues; v++) own[v] += other[v];
    });
    UNROLL
    for (int v = 0; v < kValues; v++) to_lane[v] = at[v][0];
  }
  __device__ void write(int64_t part, int of_columns, int at, const real (&values)[kValues][kGroupWarps]) const {
    UNROLL
    for (int v = 0; v < kValues; v++) {
      real total = values[v][0];
      UNROLL
      for (int warp = 1; warp < kGroupWarps; warp++) total += values[v][warp];
      epilogue.sums[(part * kValues + v) * of_columns + at] = total;
    }
  }
};

}  // namespace mpanet::PRECISION::KERNEL_NS
