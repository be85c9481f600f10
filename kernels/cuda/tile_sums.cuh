// What the epilogue of a convolution computes for batch norms: per column of a tile, values over its rows of the output
// as they are stored. A thread has some of the rows; the threads with the same rows are a group. The groups' values are
// merged in order in the tile's shared memory, so that every run gives the same bits. Each block writes one part
// (EpilogueSums), which another kernel merges with the others.
//
// A kind of sums has
//   State<L>      of a thread, for L adjacent columns from column `at` of the output on (-1: there are none)
//     Inputs load_inputs(index)   what it reads for an element of the output and the L - 1 next ones
//     void add(pack, inputs)      takes these elements as they are to be stored, and may change them
//     void keep<kN, kGroups>(shared, group, column)   to shared memory; column: of the tile
//   kValues       number of values per column and group in shared memory
//   void merge<kN, kGroups>(shared, first_column, thread, threads)   after a barrier: writes the tile's part
#pragma once
#include "kernels/cuda/numeric.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

// Shared memory is (values, groups, kN). Halves of eight columns are exchanged in every second 32, and 64 bytes in
// every second group, so that lanes store in different banks: those with eight adjacent columns each, and those of two
// groups.
template <int kN, int kGroups>
__device__ inline int group_value(int value, int group, int column) {
  return (value * kGroups + group) * kN +
         (column ^ (column / 32 % 2 * 4) ^ (group % 2 * (64 / static_cast<int>(sizeof(real)))));
}

template <int kN, int kGroups, int L>
__device__ inline void store_group_value(real* shared, int value, int group, int column, const real (&values)[L]) {
  constexpr int kPack = L < kFull<real> ? L : kFull<real>;
  UNROLL
  for (int j = 0; j < L; j += kPack) {
    Pack<real, kPack> pack;
    UNROLL
    for (int e = 0; e < kPack; e++) pack.lane[e] = values[j + e];
    store_pack(shared + group_value<kN, kGroups>(value, group, column + j), pack);
  }
}

struct NoTileSums {
  static constexpr int kValues = 0;
  template <int L>
  struct State {
    struct Inputs {};
    __device__ State(const NoTileSums&, int) {}
    __device__ Inputs load_inputs(int64_t) const { return {}; }
    template <class T>
    __device__ void add(Pack<T, L>&, const Inputs&) {}
  };
};

// Mean and M2 = sum (y - mean)^2: of a thread by Welford's recurrence, of the groups by Chan's formula,
//   mean = sum n_i mean_i / n,  M2 = sum M2_i + n_i (mean_i - mean)^2
// A thread's means are minus its first value, the groups' are merged minus that of group 0, which has a row: with means
// far from zero, rounding would dominate the deviations.
struct TileMoments {
  static constexpr int kValues = 3;
  real* to;     // (2, columns), of this tile
  int columns;  // of the output

  template <int L>
  struct State {
    struct Inputs {};
    int count = 0;
    real first[L] = {}, mean[L] = {}, m2[L] = {};

    __device__ State(const TileMoments&, int) {}
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
    template <int kN, int kGroups>
    __device__ void keep(real* shared, int group, int column) const {
      real whole[L];
      UNROLL
      for (int e = 0; e < L; e++) whole[e] = first[e] + mean[e];
      store_group_value<kN, kGroups>(shared, 0, group, column, whole);
      store_group_value<kN, kGroups>(shared, 1, group, column, m2);
      if (column == 0) shared[group_value<kN, kGroups>(2, group, 0)] = static_cast<real>(count);  // of all columns
    }
  };

  template <int kN, int kGroups>
  __device__ void merge(const real* shared, int first_column, int thread, int threads) const {
    const auto value = [&](int v, int g, int j) { return shared[group_value<kN, kGroups>(v, g, j)]; };
    for (int j = thread; j < kN && first_column + j < columns; j += threads) {
      const real origin = value(0, 0, j);
      real rows = 0, center = 0, total = 0;
      for (int g = 0; g < kGroups; g++) {
        rows += value(2, g, 0);
        center += value(2, g, 0) * (value(0, g, j) - origin);
      }
      center /= rows;
      for (int g = 0; g < kGroups; g++) {
        const real d = value(0, g, j) - origin - center;
        total += value(1, g, j) + value(2, g, 0) * d * d;
      }
      to[first_column + j] = origin + center;
      to[columns + first_column + j] = total;
    }
  }
};

// Of a gradient g, set to zero where the ReLU's sign is: sum g, and sum g (z - mean) for each of K norms.
template <int K>
struct TileGradients {
  static constexpr int kValues = 1 + K;
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
    template <int kN, int kGroups>
    __device__ void keep(real* shared, int group, int column) const {
      UNROLL
      for (int v = 0; v <= K; v++) store_group_value<kN, kGroups>(shared, v, group, column, values[v]);
    }
  };

  template <int kN, int kGroups>
  __device__ void merge(const real* shared, int first_column, int thread, int threads) const {
    for (int j = thread; j < kN && first_column + j < columns; j += threads) {
      for (int v = 0; v <= K; v++) {
        real total = 0;
        for (int g = 0; g < kGroups; g++) total += shared[group_value<kN, kGroups>(v, g, j)];
        to[int64_t{v} * columns + first_column + j] = total;
      }
    }
  }
};

}  // namespace mpanet::PRECISION::KERNEL_NS
