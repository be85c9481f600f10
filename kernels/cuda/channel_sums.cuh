// Statistics and sums per channel over the rows of a block, in the tiling of channels.cuh.
//
// Moments: a thread reads a few rows at once, computes their mean and M2 = sum (x - mean)^2 in two passes over
// registers, and merges them into its moments by Chan's formula: with n_a, n_b values, d = mean_b - mean_a,
//   mean = mean_a + d n_b / (n_a + n_b),   M2 = M2_a + M2_b + d^2 n_a n_b / (n_a + n_b)
// All means are stored minus a pivot, one of the values: with means far from zero, rounding would dominate d^2.
// Then the block's threads are merged in order: mean = sum n_i mean_i / n, M2 = sum M2_i + n_i (mean_i - mean)^2.
#pragma once
#include "kernels/cuda/channels.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

// K values per thread and lane, to be summed per channel.
template <int N, int K = 2>
struct SumMemory {
  real value[K][N][kTileThreads + kPadding<N>];
};

template <int N>
struct Moments {
  int count = 0;
  real mean[N] = {}, m2[N] = {};
};

// Merges kRows rows, `stride` elements apart.
template <int kRows, int N>
__device__ void add_moments(const storage* from, int64_t stride, const real (&pivot)[N], Moments<N>& moments) {
  Pack<storage, N> rows[kRows];
  for (int i = 0; i < kRows; i++) rows[i] = load_pack<N>(from + i * stride);
  const real before = static_cast<real>(moments.count);
  moments.count += kRows;
  const real fraction = kRows / static_cast<real>(moments.count), weight = before * fraction;
  for (int v = 0; v < N; v++) {
    real sum = 0, squares = 0;
    for (int i = 0; i < kRows; i++) sum += load(rows[i].lane[v]) - pivot[v];
    const real center = sum / kRows;
    for (int i = 0; i < kRows; i++) {
      const real d = load(rows[i].lane[v]) - pivot[v] - center;
      squares += d * d;
    }
    const real delta = center - moments.mean[v];
    moments.mean[v] += delta * fraction;
    moments.m2[v] += squares + delta * delta * weight;
  }
}

// Moments of this thread's rows, means minus `pivot`.
template <int N>
__device__ Moments<N> thread_moments(const Tiling& t, const TileThread<N>& own, const storage* x,
                                     const real (&pivot)[N]) {
  Moments<N> moments;
  each_tile_row<4>(t, own,
                   [&]<int kRows>(int64_t at, int64_t stride) { add_moments<kRows>(x + at, stride, pivot, moments); });
  return moments;
}

template <int N>
__device__ void keep_sums(real (&shared)[N][kTileThreads + kPadding<N>], const real (&sums)[N]) {
  for (int v = 0; v < N; v++) shared[v][threadIdx.x] = sums[v];
}

// Calls finish(channel, mean - pivot, M2) of the block's rows, in one thread per channel of the tile. Has a barrier.
template <int N, class Finish>
__device__ void merge_moments(SumMemory<N>& shared, const Tiling& t, const TileThread<N>& own,
                              const Moments<N>& moments, const Finish& finish) {
  if (own.inside) {
    keep_sums<N>(shared.value[0], moments.mean);
    keep_sums<N>(shared.value[1], moments.m2);
  }
  __syncthreads();
  const int j = static_cast<int>(threadIdx.x), lane = j % N, pack = j / N;
  if (j >= N << t.shift || own.first + j >= t.c) return;
  const int step_shift = 8 - t.shift;  // log2 of own.step
  const auto rows_of = [&](int i) { return static_cast<real>((own.count - i + own.step - 1) >> step_shift); };
  const int threads = own.count < own.step ? own.count : own.step;  // threads of a channel that have a row
  real mean = 0, m2 = 0;
  for (int i = 0; i < threads; i++) mean += rows_of(i) * shared.value[0][lane][(i << t.shift) + pack];
  mean /= static_cast<real>(own.count);
  for (int i = 0; i < threads; i++) {
    const real d = shared.value[0][lane][(i << t.shift) + pack] - mean;
    m2 += shared.value[1][lane][(i << t.shift) + pack] + rows_of(i) * d * d;
  }
  finish(own.first + j, mean, m2);
}

// Blocks of a kernel for K norms per multiprocessor: those for two need more registers.
template <int K>
constexpr int kNormBlocks = K == 1 ? kTileBlocks : 2;

// Sums for K norms of the same rows and the same gradient.
template <int N, int K = 1>
struct GradientSums {
  real g[N] = {}, gd[K][N] = {};
};

template <int N, int K = 1>
struct GradientMemory {
  Coefficients<K, N> centers;
  SumMemory<N, 1 + K> sums;
};

// The norms' inputs and means, at channel 0 of the image.
template <int K>
struct GradientSources {
  const storage* x[K];
  const real* mean[K];
};

// Adds kRows rows, `stride` elements apart. g = dy where `signs` has a one; null: everywhere.
template <int kRows, int N, int K>
__device__ void add_gradients(const storage* dy, const uint8_t* signs, const GradientSources<K>& from, int64_t at,
                              int64_t stride, const real (&center)[K][N], GradientSums<N, K>& sums) {
  Pack<storage, N> dys[kRows], xs[K][kRows];
  unsigned mask[kRows];
  UNROLL
  for (int i = 0; i < kRows; i++) {
    const int64_t row = at + i * stride;
    dys[i] = load_pack<N>(dy + row);
    UNROLL
    for (int k = 0; k < K; k++) xs[k][i] = load_pack<N>(from.x[k] + row);
    mask[i] = signs != nullptr ? load_signs(signs, row) : ~0u;
  }
  UNROLL
  for (int i = 0; i < kRows; i++) {
    UNROLL
    for (int v = 0; v < N; v++) {
      const real g = (mask[i] >> v & 1) != 0 ? load(dys[i].lane[v]) : real{0};
      sums.g[v] += g;
      UNROLL
      for (int k = 0; k < K; k++) sums.gd[k][v] += g * (load(xs[k][i].lane[v]) - center[k][v]);
    }
  }
}

// Sums of g and of each norm's g (x - mean) over this thread's rows. Has a barrier.
template <int N, int K>
__device__ GradientSums<N, K> thread_gradients(Coefficients<K, N>& centers, const Tiling& t, const TileThread<N>& own,
                                               const storage* dy, const uint8_t* signs,
                                               const GradientSources<K>& from) {
  GradientSums<N, K> sums;
  real center[K][N];
  stage_coefficients(
      centers, own, t,
      [&](int channel, real(&values)[K]) {
        UNROLL
        for (int k = 0; k < K; k++) values[k] = from.mean[k][channel];
      },
      center);
  if (!own.inside) return sums;
  each_tile_row<N == 8 ? 2 : 4>(t, own, [&]<int kRows>(int64_t at, int64_t stride) {
    add_gradients<kRows>(dy, signs, from, at, stride, center, sums);
  });
  return sums;
}

// Calls finish(channel, {sum g, each norm's sum g (x - mean)}) of the block's rows, in one thread per channel of the
// tile. Has a barrier.
template <int N, int K, class Finish>
__device__ void merge_gradients(SumMemory<N, 1 + K>& shared, const Tiling& t, const TileThread<N>& own,
                                const GradientSums<N, K>& sums, const Finish& finish) {
  if (own.inside) {
    keep_sums<N>(shared.value[0], sums.g);
    UNROLL
    for (int k = 0; k < K; k++) keep_sums<N>(shared.value[1 + k], sums.gd[k]);
  }
  __syncthreads();
  const int j = static_cast<int>(threadIdx.x), lane = j % N, pack = j / N;
  if (j >= N << t.shift || own.first + j >= t.c) return;
  real total[1 + K] = {};
  for (int i = 0; i < own.step; i++) {
    UNROLL
    for (int k = 0; k <= K; k++) total[k] += shared.value[k][lane][(i << t.shift) + pack];
  }
  finish(own.first + j, total);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
