// The sums over rows of batch norm: statistics, and those of the backward. The formulas and the bytes moved are in
// batch_norm.cu.
//
// A block takes a tile of channels and a run of rows (channels.cuh), about kBusyBlocks blocks in all. It writes two or
// three partial values per channel to the workspace (parts, values, c). A second kernel, eight channels to a block,
// merges them in order. The shape of the sums depends only on (rows, c), so every run gives the same bits.
// batch_norm_finish_... merge the parts that a convolution's epilogue wrote (tile_sums.cuh).
#include <algorithm>

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
  __device__ explicit MergeThread(int block)
      : channel(block * kMergeColumns + static_cast<int>(threadIdx.x) % kMergeColumns),
        group(static_cast<int>(threadIdx.x) / kMergeColumns) {}
};

__device__ void update_running(real* running, double value, real momentum) {
  *running = static_cast<real>((1.0 - static_cast<double>(momentum)) * static_cast<double>(*running) +
                               static_cast<double>(momentum) * value);
}

// The parts of one or two norms: blocks from first_block on merge the second one's.
struct MomentMerges {
  NormStatistics at[2];
  int first_block;
  const storage* x;  // of the first one: its means are minus row 0 of x. Null: they are whole
};

// mean = sum n_i mean_i / rows and M2 = sum M2_i + n_i (mean_i - mean)^2 over the parts. From whole means the first
// part's is subtracted.
__global__ void __launch_bounds__(kMergeThreads)
    batch_norm_merge_moments_kernel(const __grid_constant__ MomentMerges merges, real momentum) {
  auto& shared = shared_memory<MergeMemory>();
  const int block = static_cast<int>(blockIdx.x);
  const bool second = block >= merges.first_block;
  const NormStatistics& norm = merges.at[second ? 1 : 0];
  const storage* const x = merges.x;
  const MergeThread own(second ? block - merges.first_block : block);
  const int c = norm.c, parts = norm.parts.parts, height = norm.parts.height;
  const int64_t rows = norm.rows;
  const auto rows_of = [&](int part) {
    const int64_t left = rows - int64_t{part} * height;
    return static_cast<real>(left < height ? left : height);
  };
  const real* from = norm.moments + own.channel;
  const int64_t pitch = 2 * int64_t{c};
  const int end = own.channel < c ? parts : 0;
  const real pivot = x == nullptr && own.channel < c ? from[0] : real{0};
  real sum = 0, m2 = 0;
  for (int part = own.group; part < end; part += MergeThread::kGroups) {
    sum += rows_of(part) * (from[part * pitch] - pivot);
    m2 += from[part * pitch + c];
  }
  const real center = column_sum<kMergeColumns, kMergeThreads>(sum, shared.partial) / static_cast<real>(rows);
  for (int part = own.group; part < end; part += MergeThread::kGroups) {
    const real d = from[part * pitch] - pivot - center;
    m2 += rows_of(part) * d * d;
  }
  m2 = column_sum<kMergeColumns, kMergeThreads>(m2, shared.partial);
  if (own.group != 0 || own.channel >= c) return;
  const real origin = x != nullptr ? static_cast<real>(load(x[own.channel])) : pivot;
  const double exact_mean = static_cast<double>(origin) + static_cast<double>(center);
  norm.mean[own.channel] = static_cast<real>(exact_mean);
  norm.variance[own.channel] = m2 / static_cast<real>(rows);
  if (norm.running_mean != nullptr) update_running(norm.running_mean + own.channel, exact_mean, momentum);
  if (norm.running_variance != nullptr)
    update_running(norm.running_variance + own.channel, static_cast<double>(m2) / static_cast<double>(rows - 1),
                   momentum);
}

template <int N, int K>
__global__ void __launch_bounds__(kTileThreads, kNormBlocks<K>)
    batch_norm_gradients_kernel(Tiling t, const storage* dy, const uint8_t* signs, GradientSources<K> from,
                                real* partial) {
  auto& shared = shared_memory<GradientMemory<N, K>>();
  const TileThread<N> own(t);
  const GradientSums<N, K> sums = thread_gradients(shared.centers, t, own, dy, signs, from);
  real* to = partial + int64_t{own.part} * (1 + K) * t.c;
  merge_gradients(shared.sums, t, own, sums, [&](int channel, const real(&total)[1 + K]) {
    for (int k = 0; k <= K; k++) to[int64_t{k} * t.c + channel] = total[k];
  });
}

// The results of a channel's sums, and the gradients of weight and bias.
template <int K>
struct ChannelResults {
  const real* variance[K];
  NormGradient to[K];
};

template <int K>
__global__ void __launch_bounds__(kMergeThreads)
    batch_norm_merge_gradients_kernel(const real* partial, int parts, int c, ChannelResults<K> results, real eps,
                                      real* sum_g) {
  auto& shared = shared_memory<MergeMemory>();
  const MergeThread own(static_cast<int>(blockIdx.x));
  const int end = own.channel < c ? parts : 0;
  real total[1 + K] = {};
  for (int part = own.group; part < end; part += MergeThread::kGroups) {
    const real* from = partial + int64_t{part} * (1 + K) * c + own.channel;
    UNROLL
    for (int k = 0; k <= K; k++) total[k] += from[int64_t{k} * c];
  }
  UNROLL
  for (int k = 0; k <= K; k++) total[k] = column_sum<kMergeColumns, kMergeThreads>(total[k], shared.partial);
  if (own.group != 0 || own.channel >= c) return;
  sum_g[own.channel] = total[0];
  UNROLL
  for (int k = 0; k < K; k++) {
    const NormGradient& to = results.to[k];
    const real sum_gn = total[1 + k] / sqrt(results.variance[k][own.channel] + eps);
    to.sum_gn[own.channel] = sum_gn;
    if (to.dweight != nullptr) put(to.dweight[own.channel], sum_gn, to.dweight_write);
    if (to.dbias != nullptr) put(to.dbias[own.channel], total[0], to.dbias_write);
  }
}

unsigned merge_blocks(int c) { return static_cast<unsigned>(divide_up(c, kMergeColumns)); }

void merge_moments(Stream stream, MomentMerges merges, int length, real momentum) {
  const unsigned first = merge_blocks(merges.at[0].c), second = length > 1 ? merge_blocks(merges.at[1].c) : 0;
  merges.first_block = static_cast<int>(first);
  LAUNCH(batch_norm_merge_moments_kernel, first + second, kMergeThreads, sizeof(MergeMemory), stream, merges, momentum);
}

}  // namespace

// The tiling depends on whether packs fit c and the addresses. The workspace is large enough for both, and for the
// three sums of two norms.
size_t batch_norm_workspace_bytes(int64_t rows, int c) {
  int64_t parts = sum_tiling(rows, c, 1).parts;
  if (c % kFull<storage> == 0) parts = std::max<int64_t>(parts, sum_tiling(rows, c, kFull<storage>).parts);
  return static_cast<size_t>(parts) * 3 * static_cast<size_t>(c) * sizeof(real);
}

void batch_norm_statistics(Stream stream, const storage* x, int64_t rows, int c, real momentum, real* mean,
                           real* variance, real* running_mean, real* running_variance, void* workspace) {
  KERNEL_CHECK(running_variance == nullptr || rows > 1, "more than one row for the unbiased variance");
  real* partial = static_cast<real*>(workspace);
  with_lanes(packs_fit(c, x), [&]<int N>() {
    const Tiling tiling = sum_tiling(rows, c, N);
    LAUNCH(batch_norm_moments_kernel<N>, tile_grid(tiling), kTileThreads, sizeof(SumMemory<N>), stream, tiling, x,
           partial);
    const EpilogueSums parts{true, tiling.parts, tiling.height};
    merge_moments(stream, {{{partial, parts, rows, c, mean, variance, running_mean, running_variance}}, 0, x}, 1,
                  momentum);
  });
}

void batch_norm_finish_statistics(Stream stream, const NormStatistics* list, int length, real momentum) {
  KERNEL_CHECK(length == 1 || length == 2, "one norm or two");
  MomentMerges merges{};
  std::copy_n(list, length, merges.at);
  merge_moments(stream, merges, length, momentum);
}

void batch_norm_finish_gradients(Stream stream, const real* sums, const EpilogueSums& parts, int c, real eps,
                                 const NormInput& norm, const NormGradient& to, const NormInput& joined,
                                 const NormGradient& joined_to, real* sum_g) {
  const auto launch = [&]<int K>(const ChannelResults<K>& results) {
    LAUNCH(batch_norm_merge_gradients_kernel<K>, merge_blocks(c), kMergeThreads, sizeof(MergeMemory), stream, sums,
           parts.parts, c, results, eps, sum_g);
  };
  if (joined.x != nullptr)
    launch.template operator()<2>({{norm.variance, joined.variance}, {to, joined_to}});
  else
    launch.template operator()<1>({{norm.variance}, {to}});
}

void batch_norm_backward_reduce(Stream stream, const storage* dy, const ReluMask& mask, int64_t rows, int c, real eps,
                                const NormInput& norm, const NormGradient& to, const NormInput& joined,
                                const NormGradient& joined_to, real* sum_g, void* workspace) {
  KERNEL_CHECK(mask.y == nullptr, "signs as the mask");
  real* partial = static_cast<real*>(workspace);
  const auto launch = [&]<int N, int K>(const GradientSources<K>& from, const ChannelResults<K>& results) {
    const Tiling tiling = sum_tiling(rows, c, N);
    LAUNCH((batch_norm_gradients_kernel<N, K>), tile_grid(tiling), kTileThreads, sizeof(GradientMemory<N, K>), stream,
           tiling, dy, mask.signs, from, partial);
    LAUNCH(batch_norm_merge_gradients_kernel<K>, merge_blocks(c), kMergeThreads, sizeof(MergeMemory), stream, partial,
           tiling.parts, c, results, eps, sum_g);
  };
  with_lanes(packs_fit(c, dy, norm.x, joined.x), [&]<int N>() {
    if (joined.x != nullptr)
      launch.template operator()<N, 2>({{norm.x, joined.x}, {norm.mean, joined.mean}},
                                       {{norm.variance, joined.variance}, {to, joined_to}});
    else
      launch.template operator()<N, 1>({{norm.x}, {norm.mean}}, {{norm.variance}, {to}});
  });
}

}  // namespace mpanet::PRECISION::KERNEL_NS
