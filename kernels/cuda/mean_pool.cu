// The mean over an image's pixels.
//   forward   y = mean over hw of x
//   backward  dx = dy / hw
// 2^shift adjacent threads take a strip of packs of N channels in one row; the other threads take other rows.
// Forward: a block takes an image and a strip of up to 32 packs of channels. The threads' sums are added in shared
// memory. Backward: a block takes some pixels of an image and a strip. Each value is read or written once.
#include "kernels/cuda/numeric.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr int kThreads = 256;

// `count` strips of 2^shift packs per row, at most 32.
struct Strips {
  int shift, count;
  Strips(int c, int lanes) : shift(0), count(0) {
    while (shift < 5 && lanes << shift < c) shift++;
    count = static_cast<int>(divide_up(c, int64_t{lanes} << shift));
  }
};

// Calls body<M>(row) for M rows row, row + step, ...: M = kAtOnce, then M = 1 for the remaining rows.
template <int kAtOnce, class Body>
__device__ void each_strided_row(int row, int step, int end, const Body& body) {
  for (; row + (kAtOnce - 1) * step < end; row += kAtOnce * step) body.template operator()<kAtOnce>(row);
  for (; row < end; row += step) body.template operator()<1>(row);
}

// Each thread has sums for one pack of channels. Adds those of all threads of a pack in order, and calls finish(i,
// total) in one thread for channel i of the strip. Has two barriers: all threads of the block must call.
template <int N, class Finish>
__device__ void total_rows(real (&table)[kThreads * N], const real (&sum)[N], int shift, const Finish& finish) {
  __syncthreads();
  UNROLL
  for (int v = 0; v < N; v++) table[threadIdx.x * N + v] = sum[v];
  __syncthreads();
  const int width = N << shift;
  for (int i = static_cast<int>(threadIdx.x); i < width; i += kThreads) {
    real total = 0;
    for (int at = i; at < kThreads * N; at += width) total += table[at];
    finish(i, total);
  }
}

template <int N>
struct ForwardMemory {
  real table[kThreads * N];
};

template <int N>
__global__ void __launch_bounds__(kThreads)
    mean_forward_kernel(const storage* x, int hw, int c, Strips strips, real inverse_hw, real* y) {
  ForwardMemory<N>& memory = shared_memory<ForwardMemory<N>>();
  const int thread = static_cast<int>(threadIdx.x), shift = strips.shift, step = kThreads >> shift;
  const int first = static_cast<int>(blockIdx.x % strips.count) << shift;  // the strip's first pack
  const int64_t image = blockIdx.x / strips.count;
  const int channel = (first + (thread & ((1 << shift) - 1))) * N;
  real sum[N] = {};
  const auto take = [&]<int M>(int row) {
    Pack<storage, N> pack[M];
    UNROLL
    for (int i = 0; i < M; i++) pack[i] = load_pack<N>(x + (image * hw + row + i * step) * c + channel);
    UNROLL
    for (int i = 0; i < M; i++) {
      real value[N];
      unpack(pack[i], value);
      UNROLL
      for (int v = 0; v < N; v++) sum[v] += value[v];
    }
  };
  if (channel < c) each_strided_row<4>(thread >> shift, step, hw, take);
  total_rows(memory.table, sum, shift, [&](int i, real total) {
    const int at = first * N + i;
    if (at < c) y[image * c + at] = total * inverse_hw;
  });
}

// A block takes `height` pixels.
template <int N>
__global__ void __launch_bounds__(kThreads)
    mean_backward_kernel(const real* dy, int hw, int c, Strips strips, int height, int parts, real inverse_hw,
                         storage* dx, Write write) {
  const int thread = static_cast<int>(threadIdx.x), shift = strips.shift, step = kThreads >> shift;
  const unsigned stack = blockIdx.x / strips.count;
  const int channel = ((static_cast<int>(blockIdx.x % strips.count) << shift) + (thread & ((1 << shift) - 1))) * N;
  if (channel >= c) return;
  const int64_t image = stack / parts;
  const int start = static_cast<int>(stack % parts) * height, end = min(hw, start + height);
  real g[N];
  load_lanes(dy + image * c + channel, g);
  UNROLL
  for (int v = 0; v < N; v++) g[v] *= inverse_hw;
  for (int row = start + (thread >> shift); row < end; row += step)
    put_lanes(dx + (image * hw + row) * c + channel, g, write);
}

unsigned checked_grid(int64_t blocks) {
  KERNEL_CHECK(blocks < int64_t{1} << 31, "fewer than 2^31 blocks");
  return static_cast<unsigned>(blocks);
}

template <int N>
void launch_forward(Stream stream, const storage* x, int n, int hw, int c, real* y) {
  const Strips strips(c, N);
  LAUNCH(mean_forward_kernel<N>, checked_grid(int64_t{n} * strips.count), kThreads, sizeof(ForwardMemory<N>), stream, x,
         hw, c, strips, real{1} / static_cast<real>(hw), y);
}

template <int N>
void launch_backward(Stream stream, const real* dy, int n, int hw, int c, storage* dx, Write write) {
  const Strips strips(c, N);
  const int height = 16 * (kThreads >> strips.shift), parts = static_cast<int>(divide_up(hw, height));
  LAUNCH(mean_backward_kernel<N>, checked_grid(int64_t{n} * parts * strips.count), kThreads, 0, stream, dy, hw, c,
         strips, height, parts, real{1} / static_cast<real>(hw), dx, write);
}

void check(int n, int hw, int c) { KERNEL_CHECK(n > 0 && hw > 0 && c > 0, "a batch with pixels and channels"); }

}  // namespace

void mean_pool_forward(Stream stream, const storage* x, int n, int hw, int c, real* y) {
  check(n, hw, c);
  if (packs_fit(c, x))
    launch_forward<kFull<storage>>(stream, x, n, hw, c, y);
  else
    launch_forward<1>(stream, x, n, hw, c, y);
}

void mean_pool_backward(Stream stream, const real* dy, int n, int hw, int c, storage* dx, Write write) {
  check(n, hw, c);
  if (packs_fit(c, dy, dx))
    launch_backward<kFull<storage>>(stream, dy, n, hw, c, dx, write);
  else
    launch_backward<1>(stream, dy, n, hw, c, dx, write);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
