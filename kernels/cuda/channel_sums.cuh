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

// Two values per thread and lane, to be summed per channel.
template <int N>
struct SumMemory {
  real value[2][N][kTileThreads + kPadding<N>];
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
__device__ void keep_sums(SumMemory<N>& shared, const real (&a)[N], const real (&b)[N]) {
  for (int v = 0; v < N; v++) {
    shared.value[0][v][threadIdx.x] = a[v];
    shared.value[1][v][threadIdx.x] = b[v];
  }
}

// Calls finish(channel, mean - pivot, M2) of the block's rows, in one thread per channel of the tile. Has a barrier.
template <int N, class Finish>
__device__ void merge_moments(SumMemory<N>& shared, const Tiling& t, const TileThread<N>& own,
                              const Moments<N>& moments, const Finish& finish) {
  if (own.inside) keep_sums(shared, moments.mean, moments.m2);
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

template <int N>
struct GradientSums {
  real g[N] = {}, gd[N] = {};
};

template <int N>
struct GradientMemory {
  Coefficients<1, N> centers;
  SumMemory<N> sums;
};

// Adds kRows rows, `stride` elements apart. With kRelu g = dy where y > 0, else 0; without it g = dy.
template <int kRows, bool kRelu, int N>
__device__ void add_gradients(const storage* dy, const storage* x, const storage* y, int64_t at, int64_t stride,
                              const real (&center)[N], GradientSums<N>& sums) {
  Pack<storage, N> dys[kRows], xs[kRows], ys[kRows];
  for (int i = 0; i < kRows; i++) {
    dys[i] = load_pack<N>(dy + at + i * stride);
    xs[i] = load_pack<N>(x + at + i * stride);
    if (kRelu) ys[i] = load_pack<N>(y + at + i * stride);
  }
  for (int i = 0; i < kRows; i++) {
    for (int v = 0; v < N; v++) {
      real g = load(dys[i].lane[v]);
      if (kRelu) g = load(ys[i].lane[v]) > 0 ? g : real{0};
      sums.g[v] += g;
      sums.gd[v] += g * (load(xs[i].lane[v]) - center[v]);
    }
  }
}

// Sums of g and g (x - mean) over this thread's rows. `mean` points to the image's channel 0. Has a barrier.
template <bool kRelu, int N>
__device__ GradientSums<N> thread_gradients(Coefficients<1, N>& centers, const Tiling& t, const TileThread<N>& own,
                                            const storage* dy, const storage* x, const storage* y, const real* mean) {
  GradientSums<N> sums;
  real center[1][N];
  stage_coefficients(
      centers, own, t, [&](int channel, real(&values)[1]) { values[0] = mean[channel]; }, center);
  if (!own.inside) return sums;
  each_tile_row<N == 8 ? 2 : 4>(t, own, [&]<int kRows>(int64_t at, int64_t stride) {
    add_gradients<kRows, kRelu>(dy, x, y, at, stride, center[0], sums);
  });
  return sums;
}

// Calls finish(channel, sum g, sum g (x - center)) of the block's rows, in one thread per channel of the tile. Has a
// barrier.
template <int N, class Finish>
__device__ void merge_gradients(SumMemory<N>& shared, const Tiling& t, const TileThread<N>& own,
                                const GradientSums<N>& sums, const Finish& finish) {
  if (own.inside) keep_sums(shared, sums.g, sums.gd);
  __syncthreads();
  const int j = static_cast<int>(threadIdx.x), lane = j % N, pack = j / N;
  if (j >= N << t.shift || own.first + j >= t.c) return;
  real g = 0, gd = 0;
  for (int i = 0; i < own.step; i++) {
    g += shared.value[0][lane][(i << t.shift) + pack];
    gd += shared.value[1][lane][(i << t.shift) + pack];
  }
  finish(own.first + j, g, gd);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
