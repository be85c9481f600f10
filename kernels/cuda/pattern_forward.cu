// Pattern alignment, forward: the maps, a 1x1 convolution to p <= 8 maps with a sigmoid, and the pooling of x by them.
//   masks_j = sigmoid(sum over channels of x w_j, + b_j)
//   f_j = mean over hw of masks_j x,  j < p;  f_p = mean over hw of x
// pattern.cuh describes the passes of a block. The sums over pixels stay in registers.
// Layer4, 128 x 24 x 8 x 2048 with p = 6: x in bf16 is 100.7 MB (f32: 201.3), f 7.3 MB, the maps 0.6 MB. Must move x,
// w, masks and f: 108.7 MB, and moves that from and to memory, in whole sectors. Every group of pixels reads w from a
// cache.
#include "kernels/cuda/pattern_tensor.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

__device__ inline real sigmoid(real s) { return 1 / (1 + exp(-s)); }

template <int P, int N>
__global__ void __launch_bounds__(kMostThreads<P>, 1)
    pattern_forward_kernel(const storage* x, const real* w, const real* b, int c, int p, int strips, Groups groups,
                           real inverse_hw, real* masks, real* f) {
  PlainMemory& memory = shared_memory<PlainMemory>();
  const int64_t image = blockIdx.x / strips;
  const int strip = static_cast<int>(blockIdx.x % strips);
  const int channel = static_cast<int>(strip * blockDim.x + threadIdx.x) * N;
  const bool inside = channel < c;
  const storage* from = x + image * groups.hw * c;
  real* maps = masks + image * groups.hw * p;
  real sum[P + 1][N] = {};
  each_group(
      memory, groups,
      [&](unsigned char* stage, GivenMaps&, int first, int count) {
        copy_pixels<N>(stage, from + int64_t{first} * c, count * c);
      },
      [&](const unsigned char* stage, int count) { plain_dots<P, N>(memory, stage, count, w, c, p); },
      [&](const GivenMaps&, int first, int count, int pixel, int j, real total) {
        const bool there = pixel < count && j < p;
        const real mask = there ? sigmoid(total + b[j]) : real{0};
        memory.first[pixel][j] = mask;
        if (there && strip == 0) maps[(first + pixel) * p + j] = mask;
      },
      [&](const unsigned char* stage, int, int count) {
        if (!inside) return;
        for (int pixel = 0; pixel < count; pixel++) {
          real mask[P], value[N];
          read_row(memory.first[pixel], mask);
          load_lanes(reinterpret_cast<const storage*>(stage) + pixel * c + channel, value);
          UNROLL
          for (int v = 0; v < N; v++) {
            UNROLL
            for (int j = 0; j < P; j++) sum[j][v] += mask[j] * value[v];
            sum[P][v] += value[v];
          }
        }
      });
  if (!inside) return;
  real* to = f + image * (p + 1) * c + channel;
  UNROLL
  for (int j = 0; j <= P; j++) {
    UNROLL
    for (int v = 0; v < N; v++) sum[j][v] *= inverse_hw;
    if (j < p || j == P) put_lanes(to + int64_t{j < P ? j : p} * c, sum[j], Write::Set);
  }
}

template <int kUnits>
__global__ void __launch_bounds__(kTensorWarps* kWarp, 1)
    pattern_forward_tensor_kernel(const storage* x, const real* w, const real* b, int c, int p, Groups groups,
                                  real inverse_hw, real* masks, real* f) {
  TensorMemory& memory = shared_memory<TensorMemory>();
  const int64_t image = blockIdx.x;
  const storage* from = x + image * groups.hw * c;
  real* maps = masks + image * groups.hw * p;
  UnitSums<kUnits> sums;
  each_group(
      memory, groups,
      [&](unsigned char* stage, GivenMaps&, int first, int count) {
        copy_chunks(stage, from + int64_t{first} * c, count, c);
      },
      [&](const unsigned char* stage, int) { tensor_dots<kUnits>(memory, stage, w, c, p); },
      [&](const GivenMaps&, int first, int count, int pixel, int j, real total) {
        real coefficient = pixel < count && j == p ? real{1} : real{0};  // the plain mean is one more map
        if (pixel < count && j < p) maps[(first + pixel) * p + j] = coefficient = sigmoid(total + b[j]);
        memory.first[pixel][j] = coefficient;
      },
      [&](const unsigned char* stage, int, int) {
        const Coefficients maps_of_pixels = coefficients_of_maps(memory.first);
        each_unit<kUnits>(c, [&](int u, int unit) { add_pixels(sums.at[u], stage, c, unit, maps_of_pixels); });
      });
  write_sums(sums, inverse_hw, p + 1, c, f + image * (p + 1) * c);
}

// A template, so that only the precisions that call it have its kernels.
template <class T>
void launch_tensor(Stream stream, const T* x, const real* w, const real* b, int n, int hw, int c, int p, real* masks,
                   real* f) {
  const TensorLaunch plan = tensor_launch(stream, hw, c);
  const auto pattern_forward_tensor =
      plan.one_unit ? pattern_forward_tensor_kernel<1> : pattern_forward_tensor_kernel<kMostUnits>;
  LAUNCH(pattern_forward_tensor, static_cast<unsigned>(n), plan.threads, plan.shared_bytes, stream, x, w, b, c, p,
         plan.groups, real{1} / static_cast<real>(hw), masks, f);
}

template <int P, int N>
void launch(Stream stream, const storage* x, const real* w, const real* b, int n, int hw, int c, int p, real* masks,
            real* f) {
  const PlainLaunch plan = plain_launch(n, hw, c, N, kMostThreads<P>);
  const auto pattern_forward = pattern_forward_kernel<P, N>;
  LAUNCH(pattern_forward, plan.grid, plan.threads, plan.shared_bytes, stream, x, w, b, c, p, plan.strips, plan.groups,
         real{1} / static_cast<real>(hw), masks, f);
}

template <int N>
void launch_for_p(Stream stream, const storage* x, const real* w, const real* b, int n, int hw, int c, int p,
                  real* masks, real* f) {
  const auto launch_p = p <= 4 ? launch<4, N> : p <= 6 ? launch<6, N> : launch<8, N>;
  launch_p(stream, x, w, b, n, hw, c, p, masks, f);
}

}  // namespace

void pattern_alignment_forward(Stream stream, const storage* x, const real* w, const real* b, int n, int hw, int c,
                               int p, real* masks, real* f) {
  check_pattern(n, hw, c, p);
  if constexpr (sizeof(storage) == 2)
    if (on_tensor_cores(stream, c, p, x) && packs_fit(c, w, f))
      return launch_tensor(stream, x, w, b, n, hw, c, p, masks, f);
  if (packs_fit(c, x) && packs_fit(c, w, f))
    launch_for_p<kPlainLanes>(stream, x, w, b, n, hw, c, p, masks, f);
  else
    launch_for_p<1>(stream, x, w, b, n, hw, c, p, masks, f);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
