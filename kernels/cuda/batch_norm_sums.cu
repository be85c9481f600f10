// The sums over rows of batch norm: statistics, and those of the backward. The formulas and the bytes moved are in
// batch_norm.cu.
//
// A block takes a tile of channels and a run of rows (channels.cuh), about kBusyBlocks blocks in all. It writes two or
// three partial values per channel to the workspace (parts, values, c). A second kernel merges them in order
// (merge_parts.cuh). The shape of the sums depends only on (rows, c), so every run gives the same bits.
// batch_norm_finish_... merge the parts that a convolution's epilogue wrote (tile_sums.cuh).
#include <algorithm>

#include "kernels/cuda/channel_sums.cuh"
#include "kernels/cuda/merge_parts.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

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

// Mean and M2 of a channel over a number of rows, means minus a pivot; merged by Chan's formula (channel_sums.cuh).
struct MomentParts {
  static constexpr int kKept = 3;
  template <int N>
  struct Sums {
    static constexpr int kValues = 2, kParts = 6;
    real rows = 0, mean[N] = {}, m2[N] = {};

    __device__ static Sums of(const Pack<real, N> (&parts)[kParts][kValues], const real (&rows)[kParts],
                              const real (&pivot)[N]) {
      Sums sums;
      UNROLL
      for (int p = 0; p < kParts; p++) sums.rows += rows[p];
      const real fraction = real{1} / sums.rows;
      UNROLL
      for (int v = 0; v < N; v++) {
        real sum = 0;
        UNROLL
        for (int p = 0; p < kParts; p++) sum += rows[p] * (parts[p][0].lane[v] - pivot[v]);
        sums.mean[v] = sum * fraction;
        UNROLL
        for (int p = 0; p < kParts; p++) {
          const real d = parts[p][0].lane[v] - pivot[v] - sums.mean[v];
          sums.m2[v] += parts[p][1].lane[v] + rows[p] * d * d;
        }
      }
      return sums;
    }
    __device__ void join(const Sums& next) {
      const real before = rows;
      rows += next.rows;
      const real fraction = rows > 0 ? next.rows / rows : real{0}, weight = before * fraction;
      UNROLL
      for (int v = 0; v < N; v++) {
        const real delta = next.mean[v] - mean[v];
        mean[v] += delta * fraction;
        m2[v] += next.m2[v] + delta * delta * weight;
      }
    }
    __device__ Sums down(int offset) const {
      Sums sums;
      sums.rows = __shfl_down_sync(kAllLanes, rows, offset);
      UNROLL
      for (int v = 0; v < N; v++) {
        sums.mean[v] = __shfl_down_sync(kAllLanes, mean[v], offset);
        sums.m2[v] = __shfl_down_sync(kAllLanes, m2[v], offset);
      }
      return sums;
    }
    template <class Kept>
    __device__ void keep(Kept& kept, int warp, int channel) const {
      UNROLL
      for (int v = 0; v < N; v++) {
        kept[0][warp][channel + v] = rows;
        kept[1][warp][channel + v] = mean[v];
        kept[2][warp][channel + v] = m2[v];
      }
    }
    template <class Kept>
    __device__ static Sums kept(const Kept& kept, int warp, int channel) {
      Sums sums;
      sums.rows = kept[0][warp][channel];
      sums.mean[0] = kept[1][warp][channel];
      sums.m2[0] = kept[2][warp][channel];
      return sums;
    }
    __device__ void write(real* to, int c) const {
      to[0] = mean[0];
      to[c] = m2[0];
    }
  };
};

__device__ void update_running(real* running, real before, double value, real momentum) {
  *running = static_cast<real>((1.0 - static_cast<double>(momentum)) * static_cast<double>(before) +
                               static_cast<double>(momentum) * value);
}

// The parts of one or two norms: blocks from first_blocks on merge the second one's.
struct MomentMerges {
  PartList list[2];
  NormStatistics to[2];
  int first_blocks;
  const storage* x;  // of the first one: its means are minus row 0 of x. Null: they are whole
};

// From whole means the first part's is subtracted.
template <int N>
__global__ void __launch_bounds__(kMergeThreads, 1)
    batch_norm_merge_moments_kernel(const __grid_constant__ MomentMerges merges, real momentum, Exchange exchange) {
  auto& shared = shared_memory<MergeMemory<MomentParts::kKept>>();
  const int block = static_cast<int>(blockIdx.x);
  const bool second = block >= merges.first_blocks;
  const PartList& list = merges.list[second ? 1 : 0];
  const NormStatistics& norm = merges.to[second ? 1 : 0];
  const storage* const x = merges.x;
  const int own_block = second ? block - merges.first_blocks : block;
  real origin = 0, before_mean = 0, before_variance = 0;
  const auto prepare = [&](int channel) {
    origin = x != nullptr ? static_cast<real>(load(x[channel])) : list.parts[channel];
    if (norm.running_mean != nullptr) before_mean = norm.running_mean[channel];
    if (norm.running_variance != nullptr) before_variance = norm.running_variance[channel];
  };
  const auto pivot = [&](int channel, real(&to)[N]) {
    if (x == nullptr) load_lanes(list.parts + channel, to);
  };
  merge_parts<MomentParts, N>(shared, list, own_block, RunMemory(exchange, second ? 1 : 0), pivot, prepare,
                              [&](int channel, const MomentParts::Sums<1>& sums) {
                                const double mean = static_cast<double>(origin) + static_cast<double>(sums.mean[0]);
                                norm.mean[channel] = static_cast<real>(mean);
                                norm.variance[channel] = sums.m2[0] / static_cast<real>(list.rows);
                                if (norm.running_mean != nullptr)
                                  update_running(norm.running_mean + channel, before_mean, mean, momentum);
                                if (norm.running_variance != nullptr)
                                  update_running(norm.running_variance + channel, before_variance,
                                                 static_cast<double>(sums.m2[0]) / static_cast<double>(list.rows - 1),
                                                 momentum);
                              });
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
struct GradientParts {
  static constexpr int kKept = 1 + K;
  template <int N>
  struct Sums {
    static constexpr int kValues = 1 + K, kParts = K == 1 ? 6 : 4;
    real total[kValues][N] = {};

    __device__ static Sums of(const Pack<real, N> (&parts)[kParts][kValues], const real (&)[kParts],
                              const real (&)[N]) {
      Sums sums;
      UNROLL
      for (int p = 0; p < kParts; p++) {
        UNROLL
        for (int k = 0; k < kValues; k++) {
          UNROLL
          for (int v = 0; v < N; v++) sums.total[k][v] += parts[p][k].lane[v];
        }
      }
      return sums;
    }
    template <class Of>
    __device__ static void each(const Of& of) {
      UNROLL
      for (int k = 0; k < kValues; k++) {
        UNROLL
        for (int v = 0; v < N; v++) of(k, v);
      }
    }
    __device__ void join(const Sums& next) {
      each([&](int k, int v) { total[k][v] += next.total[k][v]; });
    }
    __device__ Sums down(int offset) const {
      Sums sums;
      each([&](int k, int v) { sums.total[k][v] = __shfl_down_sync(kAllLanes, total[k][v], offset); });
      return sums;
    }
    template <class Kept>
    __device__ void keep(Kept& kept, int warp, int channel) const {
      each([&](int k, int v) { kept[k][warp][channel + v] = total[k][v]; });
    }
    template <class Kept>
    __device__ static Sums kept(const Kept& kept, int warp, int channel) {
      Sums sums;
      each([&](int k, int v) { sums.total[k][v] = kept[k][warp][channel + v]; });
      return sums;
    }
    __device__ void write(real* to, int c) const {
      each([&](int k, int v) { to[int64_t{k} * c + v] = total[k][v]; });
    }
  };
};

template <int N, int K>
__global__ void __launch_bounds__(kMergeThreads, 1)
    batch_norm_merge_gradients_kernel(const __grid_constant__ PartList list,
                                      const __grid_constant__ ChannelResults<K> results, real eps, real* sum_g,
                                      Exchange exchange) {
  using Kind = GradientParts<K>;
  using One = typename Kind::template Sums<1>;
  auto& shared = shared_memory<MergeMemory<Kind::kKept>>();
  const int block = static_cast<int>(blockIdx.x);
  real variance[K] = {};
  const auto prepare = [&](int channel) {
    UNROLL
    for (int k = 0; k < K; k++) variance[k] = results.variance[k][channel];
  };
  merge_parts<Kind, N>(
      shared, list, block, RunMemory(exchange, 0), [](int, real(&)[N]) {}, prepare,
      [&](int channel, const One& sums) {
        const real total = sums.total[0][0];
        sum_g[channel] = total;
        UNROLL
        for (int k = 0; k < K; k++) {
          const NormGradient& to = results.to[k];
          const real sum_gn = sums.total[1 + k][0] / sqrt(variance[k] + eps);
          to.sum_gn[channel] = sum_gn;
          if (to.dweight != nullptr) put(to.dweight[channel], sum_gn, to.dweight_write);
          if (to.dbias != nullptr) put(to.dbias[channel], total, to.dbias_write);
        }
      });
}

// Calls body<lanes>() for the packs of real that fit the lists.
template <class Body>
void with_real_lanes(const PartList& first, const PartList& second, const Body& body) {
  const auto fits = [](const PartList& list) {
    return list.c % kFull<real> == 0 && reinterpret_cast<uintptr_t>(list.parts) % 16 == 0;
  };
  if (fits(first) && fits(second)) return body.template operator()<kFull<real>>();
  body.template operator()<1>();
}

PartList parts_of(const NormStatistics& norm) {
  return part_list(norm.moments, norm.parts.parts, norm.c, norm.rows, norm.parts.height);
}

// x: see MomentMerges.
void merge_moments(Stream stream, const NormStatistics* norms, int length, const storage* x, real momentum) {
  MomentMerges merges{};
  merges.x = x;
  int blocks = 0;
  for (int i = 0; i < length; i++) {
    merges.to[i] = norms[i];
    merges.list[i] = parts_of(norms[i]);
    blocks += merge_blocks(merges.list[i]);
  }
  merges.first_blocks = merge_blocks(merges.list[0]);
  with_real_lanes(merges.list[0], merges.list[length - 1], [&]<int N>() {
    LAUNCH(batch_norm_merge_moments_kernel<N>, static_cast<unsigned>(blocks), kMergeThreads,
           sizeof(MergeMemory<MomentParts::kKept>), stream, merges, momentum, ::mpanet::KERNEL_NS::exchange(stream));
  });
}

template <int K>
void merge_gradients(Stream stream, const real* partial, int parts, int c, const ChannelResults<K>& results, real eps,
                     real* sum_g) {
  const PartList list = part_list(partial, parts, c, parts, 1);
  with_real_lanes(list, list, [&]<int N>() {
    LAUNCH((batch_norm_merge_gradients_kernel<N, K>), static_cast<unsigned>(merge_blocks(list)), kMergeThreads,
           sizeof(MergeMemory<GradientParts<K>::kKept>), stream, list, results, eps, sum_g,
           ::mpanet::KERNEL_NS::exchange(stream));
  });
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
    const NormStatistics norm{partial, parts, rows, c, mean, variance, running_mean, running_variance};
    merge_moments(stream, &norm, 1, x, momentum);
  });
}

void batch_norm_finish_statistics(Stream stream, const NormStatistics* list, int length, real momentum) {
  KERNEL_CHECK(length == 1 || length == 2, "one norm or two");
  merge_moments(stream, list, length, nullptr, momentum);
}

void batch_norm_finish_gradients(Stream stream, const real* sums, const EpilogueSums& parts, int c, real eps,
                                 const NormInput& norm, const NormGradient& to, const NormInput& joined,
                                 const NormGradient& joined_to, real* sum_g) {
  if (joined.x != nullptr)
    merge_gradients<2>(stream, sums, parts.parts, c, {{norm.variance, joined.variance}, {to, joined_to}}, eps, sum_g);
  else
    merge_gradients<1>(stream, sums, parts.parts, c, {{norm.variance}, {to}}, eps, sum_g);
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
    merge_gradients(stream, partial, tiling.parts, c, results, eps, sum_g);
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
