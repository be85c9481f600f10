// What the epilogue of a convolution computes for batch norms: per column of a tile, values over its rows of the output
// as they are stored. A thread has some of the rows; the threads with the same rows are a group. The groups' values are
// merged in order in the tile's shared memory, so that every run gives the same bits. Each block writes one part
// (EpilogueSums), which another kernel merges with the others.
//
// A kind of sums has
//   State<L>      of a thread, for L adjacent columns from column `at` of the output on (-1: there are none)
//     Inputs load_inputs(index)   what it reads for an element of the output and the L - 1 next ones
//     void gate(values, inputs)   may set values to zero before they are rounded and stored
//     kSums, void add(values, inputs)   whether there are sums, and takes these elements as they are stored. With sums
//                                       the output has no scale, shift, residual or ReLU
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
    static constexpr bool kSums = false;
    __device__ Inputs load_inputs(int64_t) const { return {}; }
    __device__ void gate(real (&)[L], const Inputs&) const {}
  };
};

// Mean and M2 = sum (y - mean)^2. A thread sums d = y - y_0 and d^2, where y_0 is its first value:
//   mean = y_0 + sum d / n,  M2 = sum d^2 - (sum d)^2 / n
// M2 has the term (y_0 - mean)^2, so sum d^2 is at most n M2: the difference multiplies rounding errors by n at most,
// and a thread has few rows. The groups are merged by Chan's formula,
//   mean = sum n_i mean_i / n,  M2 = sum M2_i + n_i (mean_i - mean)^2
// with means minus that of group 0, which has a row: with means far from zero, rounding would dominate the deviations.
struct TileMoments {
  static constexpr int kValues = 3;
  real* to;     // (2, columns), of this tile
  int columns;  // of the output

  template <int L>
  struct State {
    struct Inputs {};
    static constexpr bool kSums = true;
    int count = 0;
    real first[L] = {}, sum[L] = {}, squares[L] = {};

    __device__ State(const TileMoments&, int) {}
    __device__ Inputs load_inputs(int64_t) const { return {}; }
    __device__ void gate(real (&)[L], const Inputs&) const {}
    __device__ void add(const real (&row)[L], const Inputs&) {
      if (count++ == 0) {
        UNROLL
        for (int e = 0; e < L; e++) first[e] = row[e];
        return;
      }
      UNROLL
      for (int e = 0; e < L; e++) {
        const real d = row[e] - first[e];
        sum[e] += d;
        squares[e] += d * d;
      }
    }
    template <int kN, int kGroups>
    __device__ void keep(real* shared, int group, int column) const {
      const real fraction = real{1} / static_cast<real>(max(count, 1));
      real mean[L], m2[L];
      UNROLL
      for (int e = 0; e < L; e++) {
        mean[e] = first[e] + sum[e] * fraction;
        m2[e] = squares[e] - sum[e] * sum[e] * fraction;
      }
      store_group_value<kN, kGroups>(shared, 0, group, column, mean);
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
    static constexpr bool kSums = true;
    static constexpr bool kKeepsMeans = K == 1;  // those of two norms are read for each row: registers are scarce
    const TileGradients& sums;
    int at;
    real center[kKeepsMeans ? L : 1] = {}, values[1 + K][L] = {};

    __device__ State(const TileGradients& s, int column) : sums(s), at(column) {
      if constexpr (kKeepsMeans)
        if (at >= 0) load_means(0, center);
    }
    __device__ void load_means(int k, real (&to)[L]) const {
      UNROLL
      for (int e = 0; e < L; e++) to[e] = sums.epilogue.mean[k][at + e];
    }
    __device__ Inputs load_inputs(int64_t index) const {
      Inputs inputs;
      inputs.signs = load_signs(sums.epilogue.signs, index);
      UNROLL
      for (int k = 0; k < K; k++) inputs.z[k] = load_pack<L>(sums.epilogue.z[k] + index);
      return inputs;
    }
    __device__ void gate(real (&row)[L], const Inputs& inputs) const {
      UNROLL
      for (int e = 0; e < L; e++) row[e] = (inputs.signs >> e & 1) != 0 ? row[e] : real{0};
    }
    __device__ void add(const real (&g)[L], const Inputs& inputs) {
      UNROLL
      for (int e = 0; e < L; e++) values[0][e] += g[e];
      UNROLL
      for (int k = 0; k < K; k++) {
        real z[L], mean[L];
        unpack(inputs.z[k], z);
        if constexpr (!kKeepsMeans) load_means(k, mean);
        UNROLL
        for (int e = 0; e < L; e++) values[1 + k][e] += g[e] * (z[e] - (kKeepsMeans ? center[e] : mean[e]));
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
