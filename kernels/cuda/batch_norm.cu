// Batch norm over the rows of (rows, c), c contiguous.
//   forward     m = mean of x, s2 = mean of (x - m)^2, r = 1 / sqrt(s2 + eps), n = (x - m) r
//               y = act(n weight + bias + residual)
//   backward    g = dy where y > 0 (no ReLU: dy);  sum_g = sum g,  sum_gn = sum g n  (bias' and weight's gradients)
//               dx = weight r (g - sum_g / rows - n sum_gn / rows),  dresidual = g
//               eval mode: dx = weight r g
//
// Mapping: the tiles of channels.cuh. The two reductions have a block per tile of channels and run of rows, about
// kBusyBlocks in all. Each block writes two partial values per channel to the workspace (parts, 2, c), and a second
// kernel, eight channels to a block, merges them in order. The shape of the sums depends only on (rows, c), so every
// run gives the same bits. The rest is elementwise: coefficients per channel are computed once per block.
//
// Bytes that must move per element (s: bytes of storage); other bytes; bytes in 32-byte sectors, counted from the
// compiled code for layer3's widest norm in bf16 (24576 x 1024, 50.3 MB), and their ratio to the minimum:
//   statistics        s      partials written and read, 16 (f64: 32) bytes per channel and 192 rows     52.4 MB, 1.04
//   apply             2 s    (+ s with a residual); coefficients, 16 (32) bytes per channel             100.7 MB, 1.00
//   backward reduce   2 s    (+ s with ReLU); partials as above                                         153.1 MB, 1.01
//   backward apply    3 s    (+ s with ReLU, for dresidual, per Write::Add); coefficients               201.3 MB, 1.00
// Every block of an elementwise pass loads its coefficients again from the L2 cache, which adds 3 to 6 % to its loads.
// All sectors are whole, and shared memory has no bank conflicts.
#include <algorithm>
#include <limits>

#include "kernels/cuda/channel_sums.cuh"
#include "kernels/cuda/reduce.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr int kMergeColumns = 8;    // channels of a block that merges partial values: 32 bytes of float
constexpr int kMergeThreads = 512;  // 64 threads per channel

// Longer runs of rows give fewer partial values, shorter ones give more blocks. With few rows tiles are narrower.
Tiling sum_tiling(int64_t rows, int c, int lanes) {
  constexpr int64_t kFewestRows = 192;
  Tiling tiling;
  for (int shift = widest_shift(c, lanes);; shift--) {
    const int64_t step = kTileThreads >> shift, tiles = divide_up(c, int64_t{lanes} << shift);
    const int64_t height = std::max({kFewestRows, 6 * step, divide_up(rows * tiles, kBusyBlocks)});
    tiling = make_tiling(1, rows, c, lanes, shift, divide_up(height, 4 * step) * 4 * step);
    if (tiling.blocks >= kBusyBlocks / 2 || shift <= kNarrowestShift) return tiling;
  }
}

template <int N>
__global__ void __launch_bounds__(kTileThreads, kTileBlocks)
    batch_norm_moments_kernel(Tiling t, const storage* x, real* partial) {
  auto& shared = shared_memory<SumMemory<N>>();
  const TileThread<N> own(t);
  Moments<N> moments;
  if (own.inside) {
    real pivot[N];  // row 0 of x
    const Pack<storage, N> top = load_pack<N>(x + own.channel);
    for (int v = 0; v < N; v++) pivot[v] = load(top.lane[v]);
    moments = thread_moments(t, own, x, pivot);
  }
  real* to = partial + int64_t{own.part} * 2 * t.c;
  merge_moments(shared, t, own, moments, [&](int channel, real mean, real m2) {
    to[channel] = mean;
    to[t.c + channel] = m2;
  });
}

struct MergeMemory {
  real partial[kMergeThreads / kWarp][kMergeColumns];
};

// The work of a thread in a merging block: one channel, every 64th part.
struct MergeThread {
  int channel, group;
  static constexpr int kGroups = kMergeThreads / kMergeColumns;
  __device__ MergeThread()
      : channel(static_cast<int>(blockIdx.x * kMergeColumns + threadIdx.x % kMergeColumns)),
        group(static_cast<int>(threadIdx.x) / kMergeColumns) {}
};

__device__ void update_running(real* running, double value, real momentum) {
  *running = static_cast<real>((1.0 - static_cast<double>(momentum)) * static_cast<double>(*running) +
                               static_cast<double>(momentum) * value);
}

// mean = sum n_i mean_i / rows and M2 = sum M2_i + n_i (mean_i - mean)^2 over the parts; means minus row 0 of x.
__global__ void __launch_bounds__(kMergeThreads)
    batch_norm_merge_moments_kernel(const real* partial, int parts, int height, const storage* x, int64_t rows, int c,
                                    real momentum, real* mean, real* variance, real* running_mean,
                                    real* running_variance) {
  auto& shared = shared_memory<MergeMemory>();
  const MergeThread own;
  const auto rows_of = [&](int part) {
    const int64_t left = rows - int64_t{part} * height;
    return static_cast<real>(left < height ? left : height);
  };
  const real* from = partial + own.channel;
  const int64_t pitch = 2 * int64_t{c};
  const int end = own.channel < c ? parts : 0;
  real sum = 0, m2 = 0;
  for (int part = own.group; part < end; part += MergeThread::kGroups) {
    sum += rows_of(part) * from[part * pitch];
    m2 += from[part * pitch + c];
  }
  const real center = column_sum<kMergeColumns, kMergeThreads>(sum, shared.partial) / static_cast<real>(rows);
  for (int part = own.group; part < end; part += MergeThread::kGroups) {
    const real d = from[part * pitch] - center;
    m2 += rows_of(part) * d * d;
  }
  m2 = column_sum<kMergeColumns, kMergeThreads>(m2, shared.partial);
  if (own.group != 0 || own.channel >= c) return;
  const double exact_mean = static_cast<double>(load(x[own.channel])) + static_cast<double>(center);
  mean[own.channel] = static_cast<real>(exact_mean);
  variance[own.channel] = m2 / static_cast<real>(rows);
  if (running_mean != nullptr) update_running(running_mean + own.channel, exact_mean, momentum);
  if (running_variance != nullptr)
    update_running(running_variance + own.channel, static_cast<double>(m2) / static_cast<double>(rows - 1), momentum);
}

// y is at least `floor`: 0 with a ReLU, else -infinity.
template <int N, bool kResidual>
__global__ void __launch_bounds__(kTileThreads, kTileBlocks)
    batch_norm_apply_kernel(Tiling t, const storage* x, const real* mean, const real* variance, real eps,
                            const real* weight, const real* bias, const storage* residual, real floor, storage* y) {
  auto& shared = shared_memory<Coefficients<3, N>>();
  const TileThread<N> own(t);
  real k[3][N];
  stage_coefficients(
      shared, own, t,
      [&](int channel, real(&values)[3]) {
        values[0] = mean[channel];
        values[1] = weight[channel] / sqrt(variance[channel] + eps);
        values[2] = bias[channel];
      },
      k);
  if (!own.inside) return;
  each_tile_row<4>(t, own, [&]<int kRows>(int64_t at, int64_t stride) {
    Pack<storage, N> xs[kRows], added[kRows];
    for (int i = 0; i < kRows; i++) {
      xs[i] = load_pack<N>(x + at + i * stride);
      if (kResidual) added[i] = load_pack<N>(residual + at + i * stride);
    }
    for (int i = 0; i < kRows; i++) {
      for (int v = 0; v < N; v++) {
        real value = (load(xs[i].lane[v]) - k[0][v]) * k[1][v] + k[2][v];
        if (kResidual) value += load(added[i].lane[v]);
        xs[i].lane[v] = store<storage>(value < floor ? floor : value);  // NaN for NaN
      }
      store_pack(y + at + i * stride, xs[i]);
    }
  });
}

template <int N, bool kRelu>
__global__ void __launch_bounds__(kTileThreads, kTileBlocks)
    batch_norm_gradients_kernel(Tiling t, const storage* dy, const storage* x, const storage* y, const real* mean,
                                real* partial) {
  auto& shared = shared_memory<GradientMemory<N>>();
  const TileThread<N> own(t);
  const GradientSums<N> sums = thread_gradients<kRelu>(shared.centers, t, own, dy, x, y, mean);
  real* to = partial + int64_t{own.part} * 2 * t.c;
  merge_gradients(shared.sums, t, own, sums, [&](int channel, real g, real gd) {
    to[channel] = g;
    to[t.c + channel] = gd;
  });
}

__global__ void __launch_bounds__(kMergeThreads)
    batch_norm_merge_gradients_kernel(const real* partial, int parts, int c, const real* variance, real eps,
                                      real* sum_g, real* sum_gn) {
  auto& shared = shared_memory<MergeMemory>();
  const MergeThread own;
  const int end = own.channel < c ? parts : 0;
  real g = 0, gd = 0;
  for (int part = own.group; part < end; part += MergeThread::kGroups) {
    const real* from = partial + int64_t{part} * 2 * c + own.channel;
    g += from[0];
    gd += from[c];
  }
  g = column_sum<kMergeColumns, kMergeThreads>(g, shared.partial);
  gd = column_sum<kMergeColumns, kMergeThreads>(gd, shared.partial);
  if (own.group != 0 || own.channel >= c) return;
  sum_g[own.channel] = g;
  sum_gn[own.channel] = gd / sqrt(variance[own.channel] + eps);
}

template <int N, bool kRelu>
__global__ void __launch_bounds__(kTileThreads, kTileBlocks)
    batch_norm_backward_apply_kernel(Tiling t, const storage* dy, const storage* x, const storage* y, const real* mean,
                                     const real* variance, real eps, const real* weight, const real* sum_g,
                                     const real* sum_gn, storage* dx, Write write, storage* dresidual,
                                     Write dresidual_write) {
  auto& shared = shared_memory<Coefficients<4, N>>();
  const TileThread<N> own(t);
  const real inverse_rows = real{1} / static_cast<real>(t.rows);
  real k[4][N];
  stage_coefficients(
      shared, own, t,
      [&](int channel, real(&values)[4]) {
        const real rstd = real{1} / sqrt(variance[channel] + eps);
        values[0] = weight[channel] * rstd;
        values[1] = sum_g != nullptr ? sum_g[channel] * inverse_rows : real{0};
        values[2] = mean[channel];
        values[3] = sum_gn != nullptr ? rstd * sum_gn[channel] * inverse_rows : real{0};
      },
      k);
  if (!own.inside) return;
  constexpr int kAtOnce = N < 8 ? 2 : 1;  // with eight channels per thread, two rows spill on some architectures
  each_tile_row<kAtOnce>(t, own, [&]<int kRows>(int64_t at, int64_t stride) {
    Pack<storage, N> dys[kRows], xs[kRows], ys[kRows];
    UNROLL
    for (int i = 0; i < kRows; i++) {
      dys[i] = load_pack<N>(dy + at + i * stride);
      xs[i] = load_pack<N>(x + at + i * stride);
      if (kRelu) ys[i] = load_pack<N>(y + at + i * stride);
    }
    UNROLL
    for (int i = 0; i < kRows; i++) {
      real g[N], value[N];
      UNROLL
      for (int v = 0; v < N; v++) {
        g[v] = load(dys[i].lane[v]);
        if (kRelu) g[v] = load(ys[i].lane[v]) > 0 ? g[v] : real{0};
        value[v] = k[0][v] * (g[v] - k[1][v] - (load(xs[i].lane[v]) - k[2][v]) * k[3][v]);
      }
      put_lanes(dx + at + i * stride, value, write);
      if (dresidual != nullptr) put_lanes(dresidual + at + i * stride, g, dresidual_write);
    }
  });
}

__global__ void batch_norm_fold_kernel(int c, const real* mean, const real* variance, real eps, const real* weight,
                                       const real* bias, real* scale, real* shift) {
  const int64_t channel = int64_t{blockIdx.x} * kTileThreads + threadIdx.x;
  if (channel >= c) return;
  const real factor = weight[channel] / sqrt(variance[channel] + eps);
  scale[channel] = factor;
  shift[channel] = bias[channel] - mean[channel] * factor;
}

unsigned merge_blocks(int c) { return static_cast<unsigned>(divide_up(c, kMergeColumns)); }

}  // namespace

// The tiling depends on whether packs fit c and the addresses. The workspace is large enough for both.
size_t batch_norm_workspace_bytes(int64_t rows, int c) {
  int64_t parts = sum_tiling(rows, c, 1).parts;
  if (c % kFull<storage> == 0) parts = std::max<int64_t>(parts, sum_tiling(rows, c, kFull<storage>).parts);
  return static_cast<size_t>(parts) * 2 * static_cast<size_t>(c) * sizeof(real);
}

void batch_norm_statistics(Stream stream, const storage* x, int64_t rows, int c, real momentum, real* mean,
                           real* variance, real* running_mean, real* running_variance, void* workspace) {
  KERNEL_CHECK(running_variance == nullptr || rows > 1, "more than one row for the unbiased variance");
  real* partial = static_cast<real*>(workspace);
  with_lanes(packs_fit(c, x), [&]<int N>() {
    const Tiling tiling = sum_tiling(rows, c, N);
    LAUNCH(batch_norm_moments_kernel<N>, tile_grid(tiling), kTileThreads, sizeof(SumMemory<N>), stream, tiling, x,
           partial);
    LAUNCH(batch_norm_merge_moments_kernel, merge_blocks(c), kMergeThreads, sizeof(MergeMemory), stream, partial,
           tiling.parts, tiling.height, x, rows, c, momentum, mean, variance, running_mean, running_variance);
  });
}

void batch_norm_apply(Stream stream, const storage* x, int64_t rows, int c, const real* mean, const real* variance,
                      real eps, const real* weight, const real* bias, const storage* residual, bool relu, storage* y) {
  const real floor = relu ? real{0} : -std::numeric_limits<real>::infinity();
  with_constants(packs_fit(c, x, residual, y), residual != nullptr, [&]<int N, bool kResidual>() {
    const Tiling tiling = elementwise_tiling(1, rows, c, N);
    LAUNCH((batch_norm_apply_kernel<N, kResidual>), tile_grid(tiling), kTileThreads, sizeof(Coefficients<3, N>), stream,
           tiling, x, mean, variance, eps, weight, bias, residual, floor, y);
  });
}

void batch_norm_backward_reduce(Stream stream, const storage* dy, const storage* x, const storage* y, int64_t rows,
                                int c, const real* mean, const real* variance, real eps, real* sum_g, real* sum_gn,
                                void* workspace) {
  real* partial = static_cast<real*>(workspace);
  with_constants(packs_fit(c, dy, x, y), y != nullptr, [&]<int N, bool kRelu>() {
    const Tiling tiling = sum_tiling(rows, c, N);
    LAUNCH((batch_norm_gradients_kernel<N, kRelu>), tile_grid(tiling), kTileThreads, sizeof(GradientMemory<N>), stream,
           tiling, dy, x, y, mean, partial);
    LAUNCH(batch_norm_merge_gradients_kernel, merge_blocks(c), kMergeThreads, sizeof(MergeMemory), stream, partial,
           tiling.parts, c, variance, eps, sum_g, sum_gn);
  });
}

void batch_norm_backward_apply(Stream stream, const storage* dy, const storage* x, const storage* y, int64_t rows,
                               int c, const real* mean, const real* variance, real eps, const real* weight,
                               const real* sum_g, const real* sum_gn, storage* dx, Write write, storage* dresidual,
                               Write dresidual_write) {
  with_constants(packs_fit(c, dy, x, y, dx, dresidual), y != nullptr, [&]<int N, bool kRelu>() {
    const Tiling tiling = elementwise_tiling(1, rows, c, N);
    LAUNCH((batch_norm_backward_apply_kernel<N, kRelu>), tile_grid(tiling), kTileThreads, sizeof(Coefficients<4, N>),
           stream, tiling, dy, x, y, mean, variance, eps, weight, sum_g, sum_gn, dx, write, dresidual, dresidual_write);
  });
}

void batch_norm_fold(Stream stream, int c, const real* mean, const real* variance, real eps, const real* weight,
                     const real* bias, real* scale, real* shift) {
  LAUNCH(batch_norm_fold_kernel, static_cast<unsigned>(divide_up(c, kTileThreads)), kTileThreads, 0, stream, c, mean,
         variance, eps, weight, bias, scale, shift);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
