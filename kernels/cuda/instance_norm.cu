// Instance norm per image and channel over hw pixels of (n, hw, c), and the modality alleviation module's blend.
//   m = mean of x, r = 1 / sqrt(mean of (x - m)^2 + eps), n = (x - m) r
//   forward     y = mask x + (1 - mask) n          (plain instance norm: mask 0)
//   backward    sum_dy = sum dy, sum_dyn = sum dy n;  dmask = sum dy (x - n) = sum_dyn / r + m sum_dy - sum_dyn
//               dx = mask dy + (1 - mask) r (dy - sum_dy / hw - n sum_dyn / hw) + dpooled / hw
//
// Mapping: the tiles of channels.cuh. In the two reductions a block takes all pixels of an image and 128 to 256 bytes
// of channels, so blocks need no merge: 16 packs by 16 rows at a time, or 8 by 32 if there would be few blocks (layer4
// in bf16, 128 images: 2048 blocks of 192 rows). The rest is elementwise, with coefficients computed once per block.
//
// Bytes that must move per element (s: bytes of storage); bytes of real per image and channel (twice in f64); bytes in
// 32-byte sectors, counted from the compiled code for 64 x 192 x 2048 in bf16 (50.3 MB), each sector once:
//   statistics        s      8 written                                            51.4 MB
//   blend             2 s    12 read                                              102.2 MB
//   backward reduce   2 s    8 read, 8 written                                    102.8 MB
//   backward apply    3 s    24 read (+ s with Write::Add)                        154.1 MB
//   backward mask            16 read, 4 written                                   2.6 MB
// All blocks of an image in the elementwise passes load its coefficients, repeatedly from the L2 cache, which adds 3 %
// to the bytes. All sectors are whole, and shared memory has no bank conflicts.
#include "kernels/cuda/channel_sums.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

Tiling image_tiling(int n, int hw, int c, int lanes) {
  constexpr int kWidest = 4;
  Tiling tiling;
  for (int shift = std::min(kWidest, widest_shift(c, lanes));; shift--) {
    tiling = make_tiling(n, hw, c, lanes, shift, hw);
    if (tiling.blocks >= kBusyBlocks / 2 || shift <= kNarrowestShift) return tiling;
  }
}

template <int N>
__global__ void __launch_bounds__(kTileThreads, kTileBlocks)
    instance_norm_moments_kernel(Tiling t, const storage* x, real eps, real* mean, real* rstd) {
  auto& shared = shared_memory<SumMemory<N>>();
  const TileThread<N> own(t);
  const storage* top = x + own.image * t.rows * t.c;  // the image's row 0, the pivot
  Moments<N> moments;
  if (own.inside) {
    real pivot[N];
    load_lanes(top + own.channel, pivot);
    moments = thread_moments(t, own, x, pivot);
  }
  merge_moments(shared, t, own, moments, [&](int channel, real center, real m2) {
    const int64_t at = own.image * t.c + channel;
    mean[at] = load(top[channel]) + center;
    rstd[at] = real{1} / sqrt(m2 / static_cast<real>(t.rows) + eps);
  });
}

// y = k2 x + (x - k0) k1
template <int N>
__global__ void __launch_bounds__(kTileThreads, kTileBlocks)
    instance_norm_blend_kernel(Tiling t, const storage* x, const real* mean, const real* rstd, const real* mask,
                               storage* y) {
  auto& shared = shared_memory<Coefficients<3, N>>();
  const TileThread<N> own(t);
  real k[3][N];
  stage_coefficients(
      shared, own, t,
      [&](int channel, real(&values)[3]) {
        const int64_t at = own.image * t.c + channel;
        const real m = mask != nullptr ? mask[at] : real{0};
        values[0] = mean[at];
        values[1] = (1 - m) * rstd[at];
        values[2] = m;
      },
      k);
  if (!own.inside) return;
  each_tile_row<4>(t, own, [&]<int kRows>(int64_t at, int64_t stride) {
    Pack<storage, N> xs[kRows];
    for (int i = 0; i < kRows; i++) xs[i] = load_pack<N>(x + at + i * stride);
    for (int i = 0; i < kRows; i++) {
      for (int v = 0; v < N; v++) {
        const real value = load(xs[i].lane[v]);
        xs[i].lane[v] = store<storage>(k[2][v] * value + (value - k[0][v]) * k[1][v]);
      }
      store_pack(y + at + i * stride, xs[i]);
    }
  });
}

template <int N>
__global__ void __launch_bounds__(kTileThreads, kTileBlocks)
    instance_norm_gradients_kernel(Tiling t, const storage* dy, const storage* x, const real* mean, const real* rstd,
                                   real* sum_dy, real* sum_dyn) {
  auto& shared = shared_memory<GradientMemory<N>>();
  const TileThread<N> own(t);
  const GradientSources<1> from{{x}, {mean + own.image * t.c}};
  const GradientSums<N> sums = thread_gradients(shared.centers, t, own, dy, nullptr, from);
  merge_gradients(shared.sums, t, own, sums, [&](int channel, const real(&total)[2]) {
    const int64_t at = own.image * t.c + channel;
    sum_dy[at] = total[0];
    sum_dyn[at] = total[1] * rstd[at];
  });
}

__global__ void mam_backward_mask_kernel(int64_t count, const real* mean, const real* rstd, const real* sum_dy,
                                         const real* sum_dyn, real* dmask) {
  const int64_t i = int64_t{blockIdx.x} * kTileThreads + threadIdx.x;
  if (i < count) dmask[i] = sum_dyn[i] / rstd[i] + mean[i] * sum_dy[i] - sum_dyn[i];
}

// dx = k1 dy + k2 - (x - k0) k3
template <int N>
__global__ void __launch_bounds__(kTileThreads, kTileBlocks)
    instance_norm_backward_apply_kernel(Tiling t, const storage* dy, const storage* x, const real* mean,
                                        const real* rstd, const real* mask, const real* sum_dy, const real* sum_dyn,
                                        const real* dpooled, storage* dx, Write write) {
  auto& shared = shared_memory<Coefficients<4, N>>();
  const TileThread<N> own(t);
  const real inverse_hw = real{1} / static_cast<real>(t.rows);
  real k[4][N];
  stage_coefficients(
      shared, own, t,
      [&](int channel, real(&values)[4]) {
        const int64_t at = own.image * t.c + channel;
        const real m = mask != nullptr ? mask[at] : real{0}, scale = (1 - m) * rstd[at];
        values[0] = mean[at];
        values[1] = m + scale;
        values[2] = inverse_hw * ((dpooled != nullptr ? dpooled[at] : real{0}) - scale * sum_dy[at]);
        values[3] = scale * rstd[at] * inverse_hw * sum_dyn[at];
      },
      k);
  if (!own.inside) return;
  each_tile_row<2>(t, own, [&]<int kRows>(int64_t at, int64_t stride) {
    Pack<storage, N> dys[kRows], xs[kRows];
    for (int i = 0; i < kRows; i++) {
      dys[i] = load_pack<N>(dy + at + i * stride);
      xs[i] = load_pack<N>(x + at + i * stride);
    }
    UNROLL
    for (int i = 0; i < kRows; i++) {
      real value[N];
      UNROLL
      for (int v = 0; v < N; v++)
        value[v] = k[1][v] * load(dys[i].lane[v]) + k[2][v] - (load(xs[i].lane[v]) - k[0][v]) * k[3][v];
      put_lanes(dx + at + i * stride, value, write);
    }
  });
}

}  // namespace

void instance_norm_statistics(Stream stream, const storage* x, int n, int hw, int c, real eps, real* mean, real* rstd) {
  with_lanes(packs_fit(c, x), [&]<int N>() {
    const Tiling tiling = image_tiling(n, hw, c, N);
    LAUNCH(instance_norm_moments_kernel<N>, tile_grid(tiling), kTileThreads, sizeof(SumMemory<N>), stream, tiling, x,
           eps, mean, rstd);
  });
}

void instance_norm_blend(Stream stream, const storage* x, int n, int hw, int c, const real* mean, const real* rstd,
                         const real* mask, storage* y) {
  with_lanes(packs_fit(c, x, y), [&]<int N>() {
    const Tiling tiling = elementwise_tiling(n, hw, c, N);
    LAUNCH(instance_norm_blend_kernel<N>, tile_grid(tiling), kTileThreads, sizeof(Coefficients<3, N>), stream, tiling,
           x, mean, rstd, mask, y);
  });
}

void instance_norm_backward_reduce(Stream stream, const storage* dy, const storage* x, int n, int hw, int c,
                                   const real* mean, const real* rstd, real* sum_dy, real* sum_dyn) {
  with_lanes(packs_fit(c, dy, x), [&]<int N>() {
    const Tiling tiling = image_tiling(n, hw, c, N);
    LAUNCH(instance_norm_gradients_kernel<N>, tile_grid(tiling), kTileThreads, sizeof(GradientMemory<N>), stream,
           tiling, dy, x, mean, rstd, sum_dy, sum_dyn);
  });
}

void mam_backward_mask(Stream stream, int64_t count, const real* mean, const real* rstd, const real* sum_dy,
                       const real* sum_dyn, real* dmask) {
  LAUNCH(mam_backward_mask_kernel, static_cast<unsigned>(divide_up(count, kTileThreads)), kTileThreads, 0, stream,
         count, mean, rstd, sum_dy, sum_dyn, dmask);
}

void instance_norm_backward_apply(Stream stream, const storage* dy, const storage* x, int n, int hw, int c,
                                  const real* mean, const real* rstd, const real* mask, const real* sum_dy,
                                  const real* sum_dyn, const real* dpooled, storage* dx, Write write) {
  with_lanes(packs_fit(c, dy, x, dx), [&]<int N>() {
    const Tiling tiling = elementwise_tiling(n, hw, c, N);
    LAUNCH(instance_norm_backward_apply_kernel<N>, tile_grid(tiling), kTileThreads, sizeof(Coefficients<4, N>), stream,
           tiling, dy, x, mean, rstd, mask, sum_dy, sum_dyn, dpooled, dx, write);
  });
}

}  // namespace mpanet::PRECISION::KERNEL_NS
