// Batch norm over the rows of (rows, c), c contiguous.
//   forward     m = mean of x, s2 = mean of (x - m)^2, r = 1 / sqrt(s2 + eps), n = (x - m) r
//               y = act(n weight + bias + residual), or the sum of two norms instead of a norm and a residual
//   backward    g = dy where y > 0 (no ReLU: dy);  sum_g = sum g,  sum_gn = sum g n  (bias' and weight's gradients)
//               dx = weight r (g - sum_g / rows - n sum_gn / rows),  dresidual = g
//               eval mode: dx = weight r g
// The backward of two norms reads g once for both. Where y > 0 is one bit an element, which apply writes.
//
// The sums over rows are in batch_norm_sums.cu. The rest is elementwise on the tiles of channels.cuh: coefficients per
// channel are computed once per block.
//
// Bytes that must move per element (s: bytes of storage) for one norm, and for the sum of two; the signs of a ReLU are
// one bit more. Bytes in 32-byte sectors, counted from the compiled code for layer3's widest norm in bf16 with a ReLU
// (24576 x 1024, 50.3 MB), and their ratio to the minimum. What exceeds 1.00 are the partial values of sums.
//   statistics        s                                               52.5 MB, 1.04
//   apply             2 s (with a residual 3 s), 3 s                  103.8 (154.2), 154.2 MB, 1.00
//   backward reduce   2 s, 3 s                                        105.9, 157.3 MB, 1.02
//   backward apply    3 s (4 s with dresidual or Write::Add), 5 s     154.2 (204.5), 254.8 MB, 1.00
// Blocks load their coefficients from the L2 cache, 3 to 8 % of all loads. Only signs are read in partial sectors.
#include <limits>

#include "kernels/cuda/channel_sums.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

// Stores the signs of a pack's elements as bits. With fewer than eight elements, the lanes of a byte combine them; all
// of these must call. c is a multiple of 8, so that the packs of a byte are in one row.
template <int N>
__device__ void store_signs(uint8_t* signs, int64_t at, const Pack<storage, N>& pack) {
  constexpr int kLanes = 8 / N;
  const int lane = static_cast<int>(threadIdx.x) % kWarp, first = lane & ~(kLanes - 1);
  unsigned bits = 0;
  UNROLL
  for (int v = 0; v < N; v++) bits |= static_cast<unsigned>(load(pack.lane[v]) > 0) << v;
  bits <<= (lane - first) * N;
  UNROLL
  for (int offset = 1; offset < kLanes; offset *= 2)
    bits |= __shfl_xor_sync(((1u << kLanes) - 1) << first, bits, offset);
  if (lane == first) signs[at >> 3] = static_cast<uint8_t>(bits);
}

// The same for rows that the packs of a byte cross, from the stored output. A thread writes one byte.
__global__ void __launch_bounds__(kTileThreads)
    batch_norm_signs_kernel(const storage* y, int64_t count, uint8_t* signs) {
  const int64_t at = (int64_t{blockIdx.x} * kTileThreads + threadIdx.x) * 8;
  if (at >= count) return;
  unsigned bits = 0;
  for (int v = 0; v < min<int64_t>(8, count - at); v++) bits |= static_cast<unsigned>(load(y[at + v]) > 0) << v;
  signs[at >> 3] = static_cast<uint8_t>(bits);
}

enum class Added { Nothing, Residual, Norm };
template <Added kAdded>
constexpr int kApplyCoefficients = kAdded == Added::Norm ? 6 : 3;

// y is at least `floor`: 0 with a ReLU, else -infinity. `signs` is null or written, for c % 8 == 0 and N > 1. The
// second norm is rounded to storage before it is added, so that y equals that of two passes.
template <int N, Added kAdded>
__global__ void __launch_bounds__(kTileThreads, kNormBlocks<kAdded == Added::Norm ? 2 : 1>)
    batch_norm_apply_kernel(Tiling t, real eps, NormInput norm, NormInput joined, const storage* residual, real floor,
                            storage* y, uint8_t* signs) {
  constexpr bool kJoin = kAdded == Added::Norm;
  constexpr int kCoefficients = kApplyCoefficients<kAdded>;
  auto& shared = shared_memory<Coefficients<kCoefficients, N>>();
  const TileThread<N> own(t);
  real k[kCoefficients][N];
  stage_coefficients(
      shared, own, t,
      [&](int channel, real(&values)[kCoefficients]) {
        values[0] = norm.mean[channel];
        values[1] = norm.weight[channel] / sqrt(norm.variance[channel] + eps);
        values[2] = norm.bias[channel];
        if constexpr (kJoin) {
          values[3] = joined.mean[channel];
          values[4] = joined.weight[channel] / sqrt(joined.variance[channel] + eps);
          values[5] = joined.bias[channel];
        }
      },
      k);
  if (!own.inside) return;
  const storage* const other = kJoin ? joined.x : residual;
  each_tile_row<kJoin && N == 8 ? 2 : 4>(t, own, [&]<int kRows>(int64_t at, int64_t stride) {
    Pack<storage, N> xs[kRows], added[kRows];
    for (int i = 0; i < kRows; i++) {
      xs[i] = load_pack<N>(norm.x + at + i * stride);
      if (kAdded != Added::Nothing) added[i] = load_pack<N>(other + at + i * stride);
    }
    UNROLL
    for (int i = 0; i < kRows; i++) {
      UNROLL
      for (int v = 0; v < N; v++) {
        real value = (load(xs[i].lane[v]) - k[0][v]) * k[1][v] + k[2][v];
        if constexpr (kJoin) added[i].lane[v] = store<storage>((load(added[i].lane[v]) - k[3][v]) * k[4][v] + k[5][v]);
        if (kAdded != Added::Nothing) value += load(added[i].lane[v]);
        xs[i].lane[v] = store<storage>(value < floor ? floor : value);  // NaN for NaN
      }
      store_pack(y + at + i * stride, xs[i]);
      if constexpr (N > 1)
        if (signs != nullptr) store_signs<N>(signs, at + i * stride, xs[i]);
    }
  });
}

// One norm in batch_norm_backward_apply_kernel.
struct NormPass {
  NormInput norm;
  NormGradient to;
};
template <int K>
struct NormPasses {
  NormPass at[K];
};

template <int N, int K>
__global__ void __launch_bounds__(kTileThreads, kNormBlocks<K>)
    batch_norm_backward_apply_kernel(Tiling t, const storage* dy, const uint8_t* signs, real eps, NormPasses<K> passes,
                                     const real* sum_g, storage* dresidual, Write dresidual_write) {
  auto& shared = shared_memory<Coefficients<1 + 3 * K, N>>();
  const TileThread<N> own(t);
  const real inverse_rows = real{1} / static_cast<real>(t.rows);
  real k[1 + 3 * K][N];
  stage_coefficients(
      shared, own, t,
      [&](int channel, real(&values)[1 + 3 * K]) {
        values[0] = sum_g != nullptr ? sum_g[channel] * inverse_rows : real{0};
        UNROLL
        for (int j = 0; j < K; j++) {
          const auto& [norm, to] = passes.at[j];
          const real rstd = real{1} / sqrt(norm.variance[channel] + eps);
          values[1 + 3 * j] = norm.weight[channel] * rstd;
          values[2 + 3 * j] = norm.mean[channel];
          values[3 + 3 * j] = sum_g != nullptr ? rstd * to.sum_gn[channel] * inverse_rows : real{0};
        }
      },
      k);
  if (!own.inside) return;
  constexpr int kAtOnce = N < 8 ? 2 : 1;  // with eight channels per thread, two rows spill on some architectures
  each_tile_row<kAtOnce>(t, own, [&]<int kRows>(int64_t at, int64_t stride) {
    Pack<storage, N> dys[kRows], xs[K][kRows];
    unsigned mask[kRows];
    UNROLL
    for (int i = 0; i < kRows; i++) {
      const int64_t row = at + i * stride;
      dys[i] = load_pack<N>(dy + row);
      UNROLL
      for (int j = 0; j < K; j++) xs[j][i] = load_pack<N>(passes.at[j].norm.x + row);
      mask[i] = signs != nullptr ? load_signs(signs, row) : ~0u;
    }
    UNROLL
    for (int i = 0; i < kRows; i++) {
      real g[N];
      UNROLL
      for (int v = 0; v < N; v++) g[v] = (mask[i] >> v & 1) != 0 ? load(dys[i].lane[v]) : real{0};
      UNROLL
      for (int j = 0; j < K; j++) {
        real value[N];
        UNROLL
        for (int v = 0; v < N; v++)
          value[v] = k[1 + 3 * j][v] * (g[v] - k[0][v] - (load(xs[j][i].lane[v]) - k[2 + 3 * j][v]) * k[3 + 3 * j][v]);
        put_lanes(passes.at[j].to.dx + at + i * stride, value, passes.at[j].to.dx_write);
      }
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

}  // namespace

NormFeatures batch_norm_features() { return {.signs = true, .join = true}; }

void batch_norm_apply(Stream stream, int64_t rows, int c, real eps, const NormInput& norm, const NormInput& joined,
                      const storage* residual, bool relu, storage* y, uint8_t* signs) {
  KERNEL_CHECK(joined.x == nullptr || residual == nullptr, "a second norm or a residual");
  const real floor = relu ? real{0} : -std::numeric_limits<real>::infinity();
  const bool packed = packs_fit(c, norm.x, joined.x, residual, y), at_once = packed && c % 8 == 0;
  const auto launch = [&]<int N, Added kAdded>() {
    const Tiling tiling = elementwise_tiling(1, rows, c, N);
    LAUNCH((batch_norm_apply_kernel<N, kAdded>), tile_grid(tiling), kTileThreads,
           sizeof(Coefficients<kApplyCoefficients<kAdded>, N>), stream, tiling, eps, norm, joined, residual, floor, y,
           at_once ? signs : nullptr);
  };
  with_lanes(packed, [&]<int N>() {
    if (joined.x != nullptr)
      launch.template operator()<N, Added::Norm>();
    else if (residual != nullptr)
      launch.template operator()<N, Added::Residual>();
    else
      launch.template operator()<N, Added::Nothing>();
  });
  if (signs == nullptr || at_once) return;
  LAUNCH(batch_norm_signs_kernel, static_cast<unsigned>(divide_up(rows * c, 8 * kTileThreads)), kTileThreads, 0, stream,
         y, rows * c, signs);
}

void batch_norm_backward_apply(Stream stream, const storage* dy, const ReluMask& mask, int64_t rows, int c, real eps,
                               const NormInput& norm, const NormGradient& to, const NormInput& joined,
                               const NormGradient& joined_to, const real* sum_g, storage* dresidual,
                               Write dresidual_write) {
  KERNEL_CHECK(mask.y == nullptr, "signs as the mask");
  const auto launch = [&]<int N, int K>(const NormPasses<K>& passes) {
    const Tiling tiling = elementwise_tiling(1, rows, c, N);
    LAUNCH((batch_norm_backward_apply_kernel<N, K>), tile_grid(tiling), kTileThreads,
           sizeof(Coefficients<1 + 3 * K, N>), stream, tiling, dy, mask.signs, eps, passes, sum_g, dresidual,
           dresidual_write);
  };
  with_lanes(packs_fit(c, dy, norm.x, to.dx, joined.x, joined_to.dx, dresidual), [&]<int N>() {
    if (joined.x != nullptr)
      launch.template operator()<N, 2>({{{norm, to}, {joined, joined_to}}});
    else
      launch.template operator()<N, 1>({{{norm, to}}});
  });
}

void batch_norm_fold(Stream stream, int c, const real* mean, const real* variance, real eps, const real* weight,
                     const real* bias, real* scale, real* shift) {
  LAUNCH(batch_norm_fold_kernel, static_cast<unsigned>(divide_up(c, kTileThreads)), kTileThreads, 0, stream, c, mean,
         variance, eps, weight, bias, scale, shift);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
