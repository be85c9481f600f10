// What the epilogue of a convolution computes for batch norms: per column of a tile, values over its rows of the output
// as they are stored. A thread has L adjacent columns and some of the rows; the threads with the same rows are a group.
// The groups' values are merged in order in the tile's shared memory, so that every run gives the same bits. Each block
// writes one part (EpilogueSums), which another kernel merges with the others.
//
// A kind of sums has a State for L columns, from column `at` of a row of the output on (-1: there is none):
//   Inputs load_inputs(index)   what it reads for an element of the output and the L - 1 next ones
//   void add(pack, inputs)      takes these elements as they are to be stored, and may change them
//   void finish(...)            writes the tile's part. All threads of the block must call
#pragma once
#include "kernels/cuda/numeric.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

// Row-major (values, groups, kN). Halves of eight columns are exchanged in every second 32, so that lanes with eight
// adjacent columns each store in different banks.
template <int kN, int kGroups>
__device__ inline int group_value(int value, int group, int column) {
  return (value * kGroups + group) * kN + (column ^ (column / 32 % 2 * 4));
}

// Stores a thread's V values per column in shared memory, which is free before: has barriers before and after.
template <class Shape, int kGroups, int V, int L>
__device__ void store_group_values(real* shared, int group, int column, const real (&values)[V][L]) {
  constexpr int kRun = L < 4 ? L : 4, kPack = kRun < kFull<real> ? kRun : kFull<real>;
  __syncthreads();
  UNROLL
  for (int v = 0; v < V; v++) {
    UNROLL
    for (int j = 0; j < L; j += kPack) {
      Pack<real, kPack> pack;
      UNROLL
      for (int e = 0; e < kPack; e++) pack.lane[e] = values[v][j + e];
      store_pack(shared + group_value<Shape::kN, kGroups>(v, group, column + j), pack);
    }
  }
  __syncthreads();
}

struct NoTileSums {
  template <int L>
  struct State {
    struct Inputs {};
    __device__ State(const NoTileSums&, int) {}
    __device__ Inputs load_inputs(int64_t) const { return {}; }
    template <class T>
    __device__ void add(Pack<T, L>&, const Inputs&) {}
    template <class Shape, int kGroups>
    __device__ void finish(const void*, int, int, int) {}
  };
};

// Mean and M2 = sum (y - mean)^2: of a thread by Welford's recurrence, of the groups by Chan's formula,
//   mean = sum n_i mean_i / n,  M2 = sum M2_i + n_i (mean_i - mean)^2
// A thread's means are minus its first value, the groups' are merged minus that of group 0, which has a row: with means
// far from zero, rounding would dominate the deviations.
struct TileMoments {
  real* to;     // (2, columns), of this tile
  int columns;  // of the output

  template <int L>
  struct State {
    struct Inputs {};
    const TileMoments& sums;
    int count = 0;
    real first[L] = {}, mean[L] = {}, m2[L] = {};

    __device__ State(const TileMoments& s, int) : sums(s) {}
    __device__ Inputs load_inputs(int64_t) const { return {}; }
    __device__ void add(Pack<storage, L>& row, const Inputs&) {
      const real fraction = real{1} / static_cast<real>(count + 1);
      UNROLL
      for (int e = 0; e < L; e++) {
        const real value = load(row.lane[e]);
        if (count == 0) first[e] = value;
        const real shifted = value - first[e], d = shifted - mean[e];
        mean[e] += d * fraction;
        m2[e] += d * (shifted - mean[e]);
      }
      count++;
    }
    template <class Shape, int kGroups, int kSize>
    __device__ void finish(real (&shared)[kSize], int group, int column, int first_column) {
      constexpr int kN = Shape::kN;
      real values[2][L];
      UNROLL
      for (int e = 0; e < L; e++) values[0][e] = first[e] + mean[e], values[1][e] = m2[e];
      real* const counts = shared + 2 * kGroups * kN;
      static_assert((2 * kN + 1) * kGroups <= kSize);
      __syncthreads();
      if (column == 0) counts[group] = static_cast<real>(count);  // a tile has column 0
      store_group_values<Shape, kGroups>(shared, group, column, values);
      for (int j = static_cast<int>(threadIdx.x); j < kN && first_column + j < sums.columns; j += Shape::kThreads) {
        const auto value = [&](int v, int g) { return shared[group_value<kN, kGroups>(v, g, j)]; };
        const real origin = value(0, 0);
        real rows = 0, center = 0, total = 0;
        for (int g = 0; g < kGroups; g++) {
          rows += counts[g];
          center += counts[g] * (value(0, g) - origin);
        }
        center /= rows;
        for (int g = 0; g < kGroups; g++) {
          const real d = value(0, g) - origin - center;
          total += value(1, g) + counts[g] * d * d;
        }
        sums.to[first_column + j] = origin + center;
        sums.to[sums.columns + first_column + j] = total;
      }
    }
  };
};

// Of a gradient g, set to zero where the ReLU's sign is: sum g, and sum g (z - mean) for each of K norms.
template <int K>
struct TileGradients {
  const GradEpilogue& epilogue;
  real* to;     // (1 + K, columns), of this tile
  int columns;  // of the output

  template <int L>
  struct State {
    struct Inputs {
      unsigned signs;
      Pack<storage, L> z[K];
    };
    const TileGradients& sums;
    real center[K][L] = {}, values[1 + K][L] = {};

    __device__ State(const TileGradients& s, int at) : sums(s) {
      if (at < 0) return;
      UNROLL
      for (int k = 0; k < K; k++) {
        UNROLL
        for (int e = 0; e < L; e++) center[k][e] = s.epilogue.mean[k][at + e];
      }
    }
    __device__ Inputs load_inputs(int64_t index) const {
      Inputs inputs;
      inputs.signs = load_signs(sums.epilogue.signs, index);
      UNROLL
      for (int k = 0; k < K; k++) inputs.z[k] = load_pack<L>(sums.epilogue.z[k] + index);
      return inputs;
    }
    __device__ void add(Pack<storage, L>& row, const Inputs& inputs) {
      UNROLL
      for (int e = 0; e < L; e++) {
        if ((inputs.signs >> e & 1) == 0) row.lane[e] = store<storage>(real{0});
        const real g = load(row.lane[e]);
        values[0][e] += g;
        UNROLL
        for (int k = 0; k < K; k++) values[1 + k][e] += g * (load(inputs.z[k].lane[e]) - center[k][e]);
      }
    }
    template <class Shape, int kGroups, int kSize>
    __device__ void finish(real (&shared)[kSize], int group, int column, int first_column) {
      constexpr int kN = Shape::kN;
      static_assert((1 + K) * kN * kGroups <= kSize);
      store_group_values<Shape, kGroups>(shared, group, column, values);
      for (int j = static_cast<int>(threadIdx.x); j < kN && first_column + j < sums.columns; j += Shape::kThreads) {
        for (int v = 0; v <= K; v++) {
          real total = 0;
          for (int g = 0; g < kGroups; g++) total += shared[group_value<kN, kGroups>(v, g, j)];
          sums.to[int64_t{v} * sums.columns + first_column + j] = total;
        }
      }
    }
  };
};

}  // namespace mpanet::PRECISION::KERNEL_NS
