// Pattern pooling: p means weighted by the maps and the plain mean, of each image and channel.
//   forward   f_j = mean over hw of masks_j x,  j < p;  f_p = mean over hw of x
//   backward  dx = (sum over j of masks_j df_j + df_p) / hw;  dmasks_j = (sum over channels of df_j x) / hw
// p = 0 is the global mean, whose backward does not read x.
// Forward: a block takes an image and a strip of up to 32 packs of channels. Each thread takes some pixels and holds
// p + 1 sums per channel in registers, so x is read once for all sums. The threads' sums are added in shared memory.
// Backward: a block takes 96 pixels of an image. A thread holds df of its pack of channels in registers, reads its pack
// of every pixel and writes dx; each warp sums p values of a few pixels at once (pattern.cuh).
// Layer4, 128 x 24 x 8 x 2048 with p = 6: x in bf16 is 100.7 MB (f32: 201.3), f 7.3 MB, the maps 0.6 MB.
//   forward   must move x + masks + f: 108.6 MB, and moves that from and to memory, in whole sectors. The strips read
//             the maps from L2, 4.1 MB in all
//   backward  must move x + dx + df + masks + dmasks: 209.8 MB, and moves that. The second block of an image reads df
//             from L2, 7.3 MB in all
#include "kernels/cuda/pattern.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr int kThreads = kPatternThreads;
constexpr int kStage = 192;  // pixels whose maps are in shared memory at a time, forward

template <int N>
struct ForwardMemory {
  MapRow mask[kStage];
  real table[kThreads * N];
};

// P = 0: only the mean of x.
template <int P, int N>
__global__ void __launch_bounds__(kThreads, kResident<P>)
    pattern_pool_forward_kernel(const storage* x, const real* masks, int hw, int c, int p, Strips strips,
                                real inverse_hw, real* f) {
  ForwardMemory<N>& memory = shared_memory<ForwardMemory<N>>();
  const int thread = static_cast<int>(threadIdx.x), shift = strips.shift, step = kThreads >> shift;
  const int first = static_cast<int>(blockIdx.x % strips.count) << shift;  // the strip's first pack
  const int64_t image = blockIdx.x / strips.count;
  const int channel = (first + (thread & ((1 << shift) - 1))) * N;
  real sum[P + 1][N] = {};
  const auto take = [&]<int M>(int row, int staged) {
    Pack<storage, N> pack[M];
    UNROLL
    for (int i = 0; i < M; i++) pack[i] = load_pack<N>(x + (image * hw + staged + row + i * step) * c + channel);
    UNROLL
    for (int i = 0; i < M; i++) {
      real mask[P + 1] = {}, value[N];
      unpack(pack[i], value);
      if constexpr (P > 0) read_row(memory.mask[row + i * step], mask);
      mask[P] = 1;
      UNROLL
      for (int j = 0; j <= P; j++) {
        UNROLL
        for (int v = 0; v < N; v++) sum[j][v] += mask[j] * value[v];
      }
    }
  };
  for (int staged = 0; staged < hw; staged += kStage) {
    const int count = min(hw - staged, kStage);
    if constexpr (P > 0) {
      __syncthreads();
      stage_rows(memory.mask, count, p, [&](int row, int j) { return masks[(image * hw + staged + row) * p + j]; });
      __syncthreads();
    }
    if (channel < c)
      each_strided_row<4>(thread >> shift, step, count,
                          [&]<int M>(int row) { take.template operator()<M>(row, staged); });
  }
  UNROLL
  for (int j = 0; j <= P; j++) {
    if (j >= p && j < P) continue;
    real* to = f + (image * (p + 1) + (j < P ? j : p)) * c;
    total_rows(memory.table, sum[j], shift, [&](int i, real total) {
      const int at = first * N + i;
      if (at < c) to[at] = total * inverse_hw;
    });
  }
}

struct BackwardMemory {
  MapRow mask[kSpan];
  DotTable dots;
};

template <int P, int N>
__global__ void __launch_bounds__(kThreads, kResident<P>)
    pattern_pool_backward_kernel(const real* df, const storage* x, const real* masks, int hw, int c, int p,
                                 Strips strips, int span, int spans, real inverse_hw, storage* dx, Write dx_write,
                                 real* dmasks, Write dmasks_write) {
  constexpr int ROWS = N > 4 ? 2 : 4;  // as many as fit in the registers that df leaves
  BackwardMemory& memory = shared_memory<BackwardMemory>();
  const int thread = static_cast<int>(threadIdx.x), column = thread & ((1 << strips.shift) - 1);
  const int group = thread >> strips.shift, groups = kThreads >> strips.shift;
  const int64_t image = blockIdx.x / spans;
  const int start = static_cast<int>(blockIdx.x % spans) * span, count = min(hw - start, span);
  const int64_t begin = image * hw + start;  // the block's first pixel
  stage_rows(memory.mask, count, p, [&](int row, int j) { return masks[(begin + row) * p + j] * inverse_hw; });
  __syncthreads();
  for (int strip = 0; strip < strips.count; strip++) {
    const int channel = ((strip << strips.shift) + column) * N;
    const bool inside = channel < c;
    const real* from = df + image * (p + 1) * c + channel;
    real g[P][N], mean[N] = {};
    read_coefficients(from, c, p, inside, g);
    if (inside) load_lanes(from + int64_t{p} * c, mean);
    UNROLL
    for (int v = 0; v < N; v++) mean[v] *= inverse_hw;
    for (int row = group * ROWS; row < count; row += groups * ROWS) {
      const int64_t at = (begin + row) * c + channel;
      Pack<storage, N> pack[ROWS] = {}, old[ROWS] = {};
      UNROLL
      for (int i = 0; i < ROWS; i++) {
        const bool there = inside && row + i < count;
        if (there) pack[i] = load_pack<N>(x + at + int64_t{i} * c);
        if (there && dx_write == Write::Add) old[i] = load_pack<N>(dx + at + int64_t{i} * c);
      }
      real dot[ROWS * kMaxParts] = {};
      UNROLL
      for (int i = 0; i < ROWS; i++) {
        real mask[P], value[N], before[N];
        read_row(memory.mask[min(row + i, count - 1)], mask);
        unpack(pack[i], value);
        unpack(old[i], before);
        UNROLL
        for (int v = 0; v < N; v++) {
          real back = mean[v];
          UNROLL
          for (int j = 0; j < P; j++) {
            dot[i * kMaxParts + j] += g[j][v] * value[v];
            back += mask[j] * g[j][v];
          }
          before[v] += back;
        }
        if (inside && row + i < count) put_lanes(dx + at + int64_t{i} * c, before, Write::Set);
      }
      keep_dots<ROWS>(memory.dots, dot, column / kWarp, row, strip == 0);
    }
  }
  finish_dots(memory.dots, strips.shift, count, p, [&](int row, int j, real total) {
    put(dmasks[(begin + row) * p + j], total * inverse_hw, dmasks_write);
  });
}

// dx = df / hw. A block takes `height` pixels of an image and a strip.
template <int N>
__global__ void __launch_bounds__(kThreads)
    mean_backward_kernel(const real* df, int hw, int c, Strips strips, int height, int parts, real inverse_hw,
                         storage* dx, Write write) {
  const int thread = static_cast<int>(threadIdx.x), shift = strips.shift, step = kThreads >> shift;
  const unsigned stack = blockIdx.x / strips.count;
  const int channel = ((static_cast<int>(blockIdx.x % strips.count) << shift) + (thread & ((1 << shift) - 1))) * N;
  if (channel >= c) return;
  const int64_t image = stack / parts;
  const int start = static_cast<int>(stack % parts) * height, end = min(hw, start + height);
  real g[N];
  load_lanes(df + image * c + channel, g);
  UNROLL
  for (int v = 0; v < N; v++) g[v] *= inverse_hw;
  for (int row = start + (thread >> shift); row < end; row += step)
    put_lanes(dx + (image * hw + row) * c + channel, g, write);
}

template <int N>
void launch_forward(Stream stream, const storage* x, const real* masks, int n, int hw, int c, int p, real* f) {
  const auto pattern_pool_forward_for_p = p == 0   ? pattern_pool_forward_kernel<0, N>
                                          : p <= 4 ? pattern_pool_forward_kernel<4, N>
                                          : p <= 6 ? pattern_pool_forward_kernel<6, N>
                                                   : pattern_pool_forward_kernel<8, N>;
  const Strips strips(c, N, 0, 5);
  LAUNCH(pattern_pool_forward_for_p, checked_grid(int64_t{n} * strips.count), kThreads, sizeof(ForwardMemory<N>),
         stream, x, masks, hw, c, p, strips, real{1} / static_cast<real>(hw), f);
}

template <int N>
void launch_backward(Stream stream, const real* df, const storage* x, const real* masks, int n, int hw, int c, int p,
                     storage* dx, Write dx_write, real* dmasks, Write dmasks_write) {
  const auto pattern_pool_backward_for_p = p <= 4   ? pattern_pool_backward_kernel<4, N>
                                           : p <= 6 ? pattern_pool_backward_kernel<6, N>
                                                    : pattern_pool_backward_kernel<8, N>;
  const int span = shorter_span(n, hw, kSpan), spans = static_cast<int>(divide_up(hw, span));
  LAUNCH(pattern_pool_backward_for_p, checked_grid(int64_t{n} * spans), kThreads, sizeof(BackwardMemory), stream, df, x,
         masks, hw, c, p, Strips(c, N, 5, 8), span, spans, real{1} / static_cast<real>(hw), dx, dx_write, dmasks,
         dmasks_write);
}

template <int N>
void launch_mean_backward(Stream stream, const real* df, int n, int hw, int c, storage* dx, Write write) {
  const Strips strips(c, N, 0, 5);
  const int height = 16 * (kThreads >> strips.shift), parts = static_cast<int>(divide_up(hw, height));
  LAUNCH(mean_backward_kernel<N>, checked_grid(int64_t{n} * parts * strips.count), kThreads, 0, stream, df, hw, c,
         strips, height, parts, real{1} / static_cast<real>(hw), dx, write);
}

void check(int n, int hw, int c, int p) {
  KERNEL_CHECK(p >= 0 && p <= kMaxParts, "at most 8 pattern maps");
  KERNEL_CHECK(n > 0 && hw > 0 && c > 0, "a batch with pixels and channels");
}

}  // namespace

void pattern_pool_forward(Stream stream, const storage* x, const real* masks, int n, int hw, int c, int p, real* f) {
  check(n, hw, c, p);
  if (packs_fit(c, x))
    launch_forward<kFull<storage>>(stream, x, masks, n, hw, c, p, f);
  else
    launch_forward<1>(stream, x, masks, n, hw, c, p, f);
}

void pattern_pool_backward(Stream stream, const real* df, const storage* x, const real* masks, int n, int hw, int c,
                           int p, storage* dx, Write dx_write, real* dmasks, Write dmasks_write) {
  check(n, hw, c, p);
  constexpr int N = kFull<storage>;
  const bool packed = packs_fit(c, x, df, dx);
  if (p == 0)
    return packed ? launch_mean_backward<N>(stream, df, n, hw, c, dx, dx_write)
                  : launch_mean_backward<1>(stream, df, n, hw, c, dx, dx_write);
  if (packed)
    launch_backward<N>(stream, df, x, masks, n, hw, c, p, dx, dx_write, dmasks, dmasks_write);
  else
    launch_backward<1>(stream, df, x, masks, n, hw, c, p, dx, dx_write, dmasks, dmasks_write);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
