// Pattern alignment, backward, of the pooling and of the maps together.
//   dmasks_j = (sum over channels of df_j x) / hw, + the gradient from other ops;  ds_j = dmasks_j masks_j (1 -
//   masks_j) dx = (sum over j of masks_j df_j + df_p) / hw + sum over j of ds_j w_j of each image: dw_j = sum over hw
//   of ds_j x;  db_j = sum over hw of ds_j
// pattern.cuh describes the passes of a block. The sums for dw stay in registers. The images' dw and db are added with
// the splits of weight gradients.
// Layer4, 128 x 24 x 8 x 2048 with p = 6: x in bf16 is 100.7 MB (f32: 201.3), df 7.3 MB, the maps 0.6 MB, the images'
// dw 6.3 MB. Must move x, dx, df, masks, dmasks, w, dw: 209.9 MB, and moves 222.4 MB, because the images' dw are
// written and read. Every group of pixels reads df and w from a cache.
#include "kernels/cuda/pattern_tensor.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

// Begins the copies of `count` maps, and of their gradients unless there are none.
__device__ inline void copy_given(GivenMaps& given, const real* masks, const real* dmasks, int64_t at, int count) {
  for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) {
    cp_async<sizeof(real)>(given.maps + i, masks + at + i);
    if (dmasks != nullptr) cp_async<sizeof(real)>(given.gradient + i, dmasks + at + i);
  }
}

// Writes the coefficients of map j at a pixel: of df m_j / hw, and of w ds_j, which is returned. The plain mean is one
// more map. dmask: of the pooling. more: whether other ops have a gradient.
template <int kWarps>
__device__ inline real write_coefficients(PatternMemory<kWarps>& memory, const GivenMaps& given, bool more, bool exists,
                                          int pixel, int j, int p, real dmask, real inverse_hw) {
  real m = j == p ? 1 : 0, ds = 0;
  if (exists && j < p) {
    m = given.maps[pixel * p + j];
    ds = (dmask + (more ? given.gradient[pixel * p + j] : 0)) * m * (1 - m);
  }
  memory.first[pixel][j] = m * inverse_hw;
  memory.second[pixel][j] = ds;
  return ds;
}

// `bias` are the sums of the threads that finish pixels. Thread i finishes those of map i % kMaxParts.
template <int kWarps>
__device__ inline void write_bias(PatternMemory<kWarps>& memory, real bias, int p, real* db) {
  const int thread = static_cast<int>(threadIdx.x);
  const int finishing = min(static_cast<int>(blockDim.x), kMaxPixels * kMaxParts);
  if (thread < finishing) memory.bias[thread] = bias;
  __syncthreads();
  if (thread >= p) return;
  real total = 0;
  for (int i = thread; i < finishing; i += kMaxParts) total += memory.bias[i];
  db[thread] = total;
}

template <int P, int N>
__global__ void __launch_bounds__(kMostThreads<P>, 1)
    pattern_backward_kernel(const real* df, const real* dmasks, const storage* x, const real* masks, const real* w,
                            int c, int p, int strips, Groups groups, real inverse_hw, storage* dx, Write dx_write,
                            real* image_dw, real* image_db) {
  PlainMemory& memory = shared_memory<PlainMemory>();
  const int64_t image = blockIdx.x / strips;
  const int strip = static_cast<int>(blockIdx.x % strips);
  const int channel = static_cast<int>(strip * blockDim.x + threadIdx.x) * N;
  const bool inside = channel < c;
  const int64_t begin = image * groups.hw;
  const real* gradient = df == nullptr ? nullptr : df + image * (p + 1) * c;
  real sum[P][N] = {}, bias = 0;  // a thread finishes pixels of one map only
  each_group(
      memory, groups,
      [&](unsigned char* stage, GivenMaps& given, int first, int count) {
        copy_pixels<N>(stage, x + (begin + first) * c, count * c);
        copy_given(given, masks, dmasks, (begin + first) * p, count * p);
      },
      [&](const unsigned char* stage, int count) { plain_dots<P, N>(memory, stage, count, gradient, c, p); },
      [&](const GivenMaps& given, int, int count, int pixel, int j, real total) {
        const real dmask = total * inverse_hw;
        bias += write_coefficients(memory, given, dmasks != nullptr, pixel < count, pixel, j, p, dmask, inverse_hw);
      },
      [&](const unsigned char* stage, int first, int count) {
        if (!inside) return;
        real g[P][N], weight[P][N], mean[N] = {};
        read_coefficients(gradient + channel, c, p, gradient != nullptr, g);
        if (gradient != nullptr) load_lanes(gradient + int64_t{p} * c + channel, mean);
        read_coefficients(w + channel, c, p, true, weight);
        for (int pixel = 0; pixel < count; pixel++) {
          storage* to = dx + (begin + first + pixel) * c + channel;
          real mask[P], ds[P], value[N], back[N] = {};
          read_row(memory.first[pixel], mask);
          read_row(memory.second[pixel], ds);
          load_lanes(reinterpret_cast<const storage*>(stage) + pixel * c + channel, value);
          if (dx_write == Write::Add) load_lanes(to, back);
          UNROLL
          for (int v = 0; v < N; v++) {
            real own = mean[v] * inverse_hw;
            UNROLL
            for (int j = 0; j < P; j++) {
              own += mask[j] * g[j][v] + ds[j] * weight[j][v];
              sum[j][v] += ds[j] * value[v];
            }
            back[v] += own;
          }
          put_lanes(to, back, Write::Set);
        }
      });
  if (inside) {
    UNROLL
    for (int j = 0; j < P; j++)
      if (j < p) put_lanes(image_dw + (image * p + j) * c + channel, sum[j], Write::Set);
  }
  if (strip == 0) write_bias(memory, bias, p, image_db + image * p);
}

template <int kUnits>
__global__ void __launch_bounds__(kTensorWarps* kWarp, 1)
    pattern_backward_tensor_kernel(const real* df, const real* dmasks, const storage* x, const real* masks,
                                   const real* w, int c, int p, Groups groups, real inverse_hw, storage* dx,
                                   Write dx_write, real* image_dw, real* image_db) {
  TensorMemory& memory = shared_memory<TensorMemory>();
  const int64_t image = blockIdx.x, begin = image * groups.hw;
  const real* gradient = df == nullptr ? nullptr : df + image * (p + 1) * c;
  const int g = lane_group(), t = lane_in_group();
  real bias = 0;
  UnitSums<kUnits> sums;
  each_group(
      memory, groups,
      [&](unsigned char* stage, GivenMaps& given, int first, int count) {
        copy_chunks(stage, x + (begin + first) * c, count, c);
        copy_given(given, masks, dmasks, (begin + first) * p, count * p);
      },
      [&](const unsigned char* stage, int) { tensor_dots<kUnits>(memory, stage, gradient, c, p); },
      [&](const GivenMaps& given, int, int count, int pixel, int j, real total) {
        const real dmask = total * inverse_hw;
        bias += write_coefficients(memory, given, dmasks != nullptr, pixel < count, pixel, j, p, dmask, inverse_hw);
      },
      [&](const unsigned char* stage, int first, int count) {
        const Coefficients ds_of_maps = coefficients_of_maps(memory.second);
        const Coefficients masks_of_pixels = coefficients_of_pixels(memory.first);
        const Coefficients ds_of_pixels = coefficients_of_pixels(memory.second);
        each_unit<kUnits>(c, [&](int u, int unit) {
          add_pixels(sums.at[u], stage, c, unit, ds_of_maps);
          const int channel = unit * kUnit + g * 8;
          real lower[8], upper[8];
          float d[4][4] = {};
          load_floats(gradient, t, p + 1, c, channel, lower);
          load_floats(gradient, t + 4, p + 1, c, channel, upper);
          add_rows(d, lower, upper, masks_of_pixels);
          load_floats(w, t, p, c, channel, lower);
          load_floats(w, t + 4, p, c, channel, upper);
          add_rows(d, lower, upper, ds_of_pixels);
          UNROLL
          for (int e = 0; e < 2; e++) {
            const int pixel = 2 * t + e;
            const real values[8] = {d[0][e], d[0][2 + e], d[1][e], d[1][2 + e],
                                    d[2][e], d[2][2 + e], d[3][e], d[3][2 + e]};
            if (pixel < count) put_lanes(dx + (begin + first + pixel) * c + channel, values, dx_write);
          }
        });
      });
  write_sums(sums, 1, p, c, image_dw + image * p * c);
  write_bias(memory, bias, p, image_db + image * p);
}

// A template, so that only the precisions that call it have its kernels.
template <class T>
void launch_tensor(Stream stream, const real* df, const real* dmasks, const T* x, const real* masks, const real* w,
                   int n, int hw, int c, int p, T* dx, Write dx_write, real* image_dw, real* image_db) {
  const TensorLaunch plan = tensor_launch(stream, hw, c);
  const auto pattern_backward_tensor =
      plan.one_unit ? pattern_backward_tensor_kernel<1> : pattern_backward_tensor_kernel<kMostUnits>;
  LAUNCH(pattern_backward_tensor, static_cast<unsigned>(n), plan.threads, plan.shared_bytes, stream, df, dmasks, x,
         masks, w, c, p, plan.groups, real{1} / static_cast<real>(hw), dx, dx_write, image_dw, image_db);
}

template <int P, int N>
void launch(Stream stream, const real* df, const real* dmasks, const storage* x, const real* masks, const real* w,
            int n, int hw, int c, int p, storage* dx, Write dx_write, real* image_dw, real* image_db) {
  const PlainLaunch plan = plain_launch(n, hw, c, N, kMostThreads<P>);
  const auto pattern_backward = pattern_backward_kernel<P, N>;
  LAUNCH(pattern_backward, plan.grid, plan.threads, plan.shared_bytes, stream, df, dmasks, x, masks, w, c, p,
         plan.strips, plan.groups, real{1} / static_cast<real>(hw), dx, dx_write, image_dw, image_db);
}

template <int N>
void launch_for_p(Stream stream, const real* df, const real* dmasks, const storage* x, const real* masks, const real* w,
                  int n, int hw, int c, int p, storage* dx, Write dx_write, real* image_dw, real* image_db) {
  const auto launch_p = p <= 4 ? launch<4, N> : p <= 6 ? launch<6, N> : launch<8, N>;
  launch_p(stream, df, dmasks, x, masks, w, n, hw, c, p, dx, dx_write, image_dw, image_db);
}

}  // namespace

void pattern_alignment_backward(Stream stream, const real* df, const real* dmasks, const storage* x, const real* masks,
                                const real* w, int n, int hw, int c, int p, storage* dx, Write dx_write, real* image_dw,
                                real* image_db) {
  check_pattern(n, hw, c, p);
  if constexpr (sizeof(storage) == 2)
    if (on_tensor_cores(stream, c, p, x, dx) && packs_fit(c, df, w, image_dw))
      return launch_tensor(stream, df, dmasks, x, masks, w, n, hw, c, p, dx, dx_write, image_dw, image_db);
  const auto launch_n =
      packs_fit(c, x, dx) && packs_fit(c, df, w, image_dw) ? launch_for_p<kPlainLanes> : launch_for_p<1>;
  launch_n(stream, df, dmasks, x, masks, w, n, hw, c, p, dx, dx_write, image_dw, image_db);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
