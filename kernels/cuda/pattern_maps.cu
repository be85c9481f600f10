// Pattern maps: a 1x1 convolution to p <= 8 maps with a sigmoid.
//   forward   masks_j = sigmoid(s_j), s_j = sum over channels of x w_j, + b_j
//   backward  ds_j = dmasks_j masks_j (1 - masks_j);  dx = sum over j of ds_j w_j
//             dw_j = sum over rows of ds_j x;  db_j = sum over rows of ds_j
// Forward: a block takes 96 rows. A thread holds p x N weights in registers and reads its pack of every row. Each warp
// sums its channels of a few rows at once, and the sums of the block's warps are added in shared memory (pattern.cuh).
// Backward: a block takes 256 rows and a strip of up to 512 channels, a thread four channels. It holds its weights and
// its sums for dw in registers, so x is read once for dx and dw. The block's sums are written to the workspace (chunks,
// p, c) and (chunks, p), and a second kernel adds the chunks in order.
// Layer4, 128 x 24 x 8 x 2048 with p = 6: x in bf16 is 100.7 MB (f32: 201.3), the maps 0.6 MB.
//   forward   must move x + masks + w: 101.3 MB, and moves that from and to memory, in whole sectors. All blocks read
//             w from L2, 12.6 MB in all
//   backward  must move x, dx, masks, dmasks, w, dw: 202.6 MB; moves 212.0 MB, because the workspace is written and
//   read
//             (4.7 MB each). Each strip reads masks and dmasks from L2, and each chunk reads w, 8.3 MB in all.
#include "kernels/cuda/pattern.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr int kThreads = kPatternThreads;
constexpr int kChunk = 256;                                              // rows of a block, backward
constexpr int kBackwardLanes = kFull<storage> < 4 ? kFull<storage> : 4;  // weights and sums must fit in registers

__device__ inline real sigmoid(real s) { return 1 / (1 + exp(-s)); }

template <int P, int N>
__global__ void __launch_bounds__(kThreads, kResident<P>)
    pattern_maps_forward_kernel(const storage* x, const real* w, const real* b, int64_t rows, int c, int p,
                                Strips strips, int span, real* masks) {
  constexpr int ROWS = 4;
  DotTable& table = shared_memory<DotTable>();
  const int thread = static_cast<int>(threadIdx.x), column = thread & ((1 << strips.shift) - 1);
  const int group = thread >> strips.shift, groups = kThreads >> strips.shift;
  const int64_t begin = int64_t{blockIdx.x} * span;
  const int count = static_cast<int>(min(rows - begin, int64_t{span}));
  for (int strip = 0; strip < strips.count; strip++) {
    const int channel = ((strip << strips.shift) + column) * N;
    const bool inside = channel < c;
    real weight[P][N];
    read_coefficients(w + channel, c, p, inside, weight);
    const storage* from = x + begin * c + channel;
    for (int row = group * ROWS; row < count; row += groups * ROWS) {
      Pack<storage, N> pack[ROWS] = {};
      UNROLL
      for (int i = 0; i < ROWS; i++) {
        if (inside && row + i < count) pack[i] = load_pack<N>(from + int64_t{row + i} * c);
      }
      real dot[ROWS * kMaxParts] = {};
      UNROLL
      for (int i = 0; i < ROWS; i++) {
        real value[N];
        unpack(pack[i], value);
        UNROLL
        for (int v = 0; v < N; v++) {
          UNROLL
          for (int j = 0; j < P; j++) dot[i * kMaxParts + j] += value[v] * weight[j][v];
        }
      }
      keep_dots<ROWS>(table, dot, column / kWarp, row, strip == 0);
    }
  }
  finish_dots(table, strips.shift, count, p,
              [&](int row, int j, real s) { masks[(begin + row) * p + j] = sigmoid(s + b[j]); });
}

template <int N>
struct BackwardMemory {
  MapRow ds[kChunk];
  real table[kThreads * N];
  real bias[kThreads];
};

// partial_w (chunks, p, c), partial_b (chunks, p)
template <int P, int N>
__global__ void __launch_bounds__(kThreads, kResident<P>)
    pattern_maps_backward_kernel(const real* dmasks, const real* masks, const storage* x, const real* w, int64_t rows,
                                 int c, int p, Strips strips, storage* dx, Write write, real* partial_w,
                                 real* partial_b) {
  BackwardMemory<N>& memory = shared_memory<BackwardMemory<N>>();
  const int thread = static_cast<int>(threadIdx.x), shift = strips.shift;
  const int strip = static_cast<int>(blockIdx.x % strips.count);
  const int64_t chunk = blockIdx.x / strips.count, begin = chunk * kChunk;
  const int count = static_cast<int>(min(rows - begin, int64_t{kChunk}));
  real bias = 0;  // a thread stages values of one map only
  stage_rows(memory.ds, count, p, [&](int row, int j) {
    const int64_t at = (begin + row) * p + j;
    const real m = masks[at], ds = dmasks[at] * m * (1 - m);
    bias += ds;
    return ds;
  });
  memory.bias[thread] = bias;
  __syncthreads();
  if (strip == 0 && thread < p) {
    real total = 0;
    for (int i = thread; i < kThreads; i += kMaxParts) total += memory.bias[i];
    partial_b[chunk * p + thread] = total;
  }

  const int channel = ((strip << shift) + (thread & ((1 << shift) - 1))) * N;
  real weight[P][N], sum[P][N] = {};
  read_coefficients(w + channel, c, p, channel < c, weight);
  const int step = kThreads >> shift;
  const auto take = [&]<int M>(int row) {
    Pack<storage, N> pack[M], old[M] = {};
    UNROLL
    for (int i = 0; i < M; i++) {
      const int64_t at = (begin + row + i * step) * c + channel;
      pack[i] = load_pack<N>(x + at);
      if (write == Write::Add) old[i] = load_pack<N>(dx + at);
    }
    UNROLL
    for (int i = 0; i < M; i++) {
      real ds[P], value[N], before[N];
      read_row(memory.ds[row + i * step], ds);
      unpack(pack[i], value);
      unpack(old[i], before);
      UNROLL
      for (int v = 0; v < N; v++) {
        real back = 0;
        UNROLL
        for (int j = 0; j < P; j++) {
          sum[j][v] += ds[j] * value[v];
          back += ds[j] * weight[j][v];
        }
        before[v] += back;
      }
      put_lanes(dx + (begin + row + i * step) * c + channel, before, Write::Set);
    }
  };
  if (channel < c) each_strided_row<4>(thread >> shift, step, count, take);

  UNROLL
  for (int j = 0; j < P; j++) {
    if (j >= p) break;
    real* to = partial_w + (chunk * p + j) * c;
    total_rows(memory.table, sum[j], shift, [&](int i, real total) {
      const int at = (strip << shift) * N + i;
      if (at < c) to[at] = total;
    });
  }
}

// to (columns) = sum over chunks of partial (chunks, columns). A block takes 32 columns; each warp takes some chunks.
constexpr int kWarps = kThreads / kWarp;

struct ChunkMemory {
  real sum[kWarps][kWarp];
};

__global__ void __launch_bounds__(kThreads)
    pattern_maps_chunks_kernel(const real* partial, int64_t chunks, int columns, real* to, Write write) {
  ChunkMemory& memory = shared_memory<ChunkMemory>();
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const int column = static_cast<int>(blockIdx.x) * kWarp + lane;
  real sum = 0;
  if (column < columns)
    for (int64_t chunk = warp; chunk < chunks; chunk += kWarps) sum += partial[chunk * columns + column];
  memory.sum[warp][lane] = sum;
  __syncthreads();
  if (warp > 0 || column >= columns) return;
  real total = 0;
  for (int i = 0; i < kWarps; i++) total += memory.sum[i][lane];
  put(to[column], total, write);
}

template <int N>
void launch_forward(Stream stream, const storage* x, const real* w, const real* b, int64_t rows, int c, int p,
                    real* masks) {
  const auto pattern_maps_forward_for_p = p <= 4   ? pattern_maps_forward_kernel<4, N>
                                          : p <= 6 ? pattern_maps_forward_kernel<6, N>
                                                   : pattern_maps_forward_kernel<8, N>;
  const int span = shorter_span(1, rows, kSpan);
  LAUNCH(pattern_maps_forward_for_p, checked_grid(divide_up(rows, span)), kThreads, sizeof(DotTable), stream, x, w, b,
         rows, c, p, Strips(c, N, 5, 8), span, masks);
}

template <int N>
void launch_backward(Stream stream, const real* dmasks, const real* masks, const storage* x, const real* w,
                     int64_t rows, int c, int p, storage* dx, Write write, real* partial_w, real* partial_b) {
  const auto pattern_maps_backward_for_p = p <= 4   ? pattern_maps_backward_kernel<4, N>
                                           : p <= 6 ? pattern_maps_backward_kernel<6, N>
                                                    : pattern_maps_backward_kernel<8, N>;
  const Strips strips(c, N, 0, 7);
  LAUNCH(pattern_maps_backward_for_p, checked_grid(divide_up(rows, kChunk) * strips.count), kThreads,
         sizeof(BackwardMemory<N>), stream, dmasks, masks, x, w, rows, c, p, strips, dx, write, partial_w, partial_b);
}

void add_chunks(Stream stream, const real* partial, int64_t chunks, int columns, real* to, Write write) {
  LAUNCH(pattern_maps_chunks_kernel, checked_grid(divide_up(columns, kWarp)), kThreads, sizeof(ChunkMemory), stream,
         partial, chunks, columns, to, write);
}

void check(int64_t rows, int c, int p) {
  KERNEL_CHECK(p >= 1 && p <= kMaxParts, "1 to 8 pattern maps");
  KERNEL_CHECK(rows > 0 && c > 0 && int64_t{c} * p < int64_t{1} << 31, "a batch with pixels and channels");
}

}  // namespace

void pattern_maps_forward(Stream stream, const storage* x, const real* w, const real* b, int64_t rows, int c, int p,
                          real* masks) {
  check(rows, c, p);
  if (packs_fit(c, x, w))
    launch_forward<kFull<storage>>(stream, x, w, b, rows, c, p, masks);
  else
    launch_forward<1>(stream, x, w, b, rows, c, p, masks);
}

size_t pattern_maps_workspace_bytes(int64_t rows, int c, int p) {
  return static_cast<size_t>(divide_up(rows, kChunk) * p * (int64_t{c} + 1)) * sizeof(real);
}

void pattern_maps_backward(Stream stream, const real* dmasks, const real* masks, const storage* x, const real* w,
                           int64_t rows, int c, int p, storage* dx, Write dx_write, real* dw, Write dw_write, real* db,
                           Write db_write, void* workspace) {
  check(rows, c, p);
  const int64_t chunks = divide_up(rows, kChunk);
  real* partial_w = static_cast<real*>(workspace);
  real* partial_b = partial_w + chunks * p * c;
  if (packs_fit(c, x, w, dx))
    launch_backward<kBackwardLanes>(stream, dmasks, masks, x, w, rows, c, p, dx, dx_write, partial_w, partial_b);
  else
    launch_backward<1>(stream, dmasks, masks, x, w, rows, c, p, dx, dx_write, partial_w, partial_b);
  add_chunks(stream, partial_w, chunks, c * p, dw, dw_write);
  add_chunks(stream, partial_b, chunks, p, db, db_write);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
