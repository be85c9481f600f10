// Max pooling and the global mean.
//   forward   y = maximum of its size x size window; the first in row order wins, a NaN wins over all before it
//             winner = the maximum's place in the window, row * size + column
//   backward  dx = sum of dy over the windows that cover the pixel and that it won, in output order: no atomics
// Forward: a thread makes a pack of channels (16 bytes) of one output column, four rows down, so that the rows which
// two windows share come from L1 the second time; neighbouring threads take neighbouring packs, then columns. Backward:
// a thread makes a pack of a 2 x 2 block of input pixels and reads each window that covers any of them once; a 3 x 3
// window with stride 2 is then read 4 times, not 9.
// The first max pool, 192 x 64 x 64 channels in bf16, per image: the forward reads x (1,573 KB) and writes y (393 KB)
// and the winners (197 KB), the backward reads these two and writes dx: 2,163 KB each, once, in whole sectors. Windows
// overlap: of x 2.25 times as many bytes are asked for, of dy and winners 4 times, the repetitions from L1 and L2.
#include "kernels/cuda/numeric.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr int kThreads = 256;
constexpr int kBand = 4;    // output rows of a thread, forward
constexpr int kSquare = 2;  // input rows and columns of a thread, backward

// What a thread works on: image, row (of bands or squares), column, first channel. Threads of a block share a row.
struct Place {
  int64_t image;
  int row, column, channel;
};

template <int N>
__device__ Place place_of(int rows, int row_blocks, int c) {
  const unsigned line = blockIdx.x / row_blocks, packs = c / N;
  const unsigned item = blockIdx.x % row_blocks * kThreads + threadIdx.x;
  return {line / rows, static_cast<int>(line % rows), static_cast<int>(item / packs),
          static_cast<int>(item % packs) * N};
}

// The best values so far of a pack of channels, and where they were.
template <int N>
struct Best {
  real value[N];
  int place[N];

  __device__ void start(const Pack<storage, N>& pack, int at) {
    UNROLL for (int k = 0; k < N; k++) {
      value[k] = load(pack.lane[k]);
      place[k] = at;
    }
  }
  __device__ void compare(int k, real other, int at) {
    const bool better = other > value[k] || other != other;
    value[k] = better ? other : value[k];
    place[k] = better ? at : place[k];
  }
  __device__ void compare(const Pack<storage, N>& pack, int at) {
    UNROLL for (int k = 0; k < N; k++) compare(k, load(pack.lane[k]), at);
  }
  __device__ void compare(const Best& later) {
    UNROLL for (int k = 0; k < N; k++) compare(k, later.value[k], later.place[k]);
  }
  // `origin` is subtracted from the places.
  __device__ void write(storage* y, uint8_t* winner, int origin) const {
    Pack<uint8_t, N> places;
    UNROLL for (int k = 0; k < N; k++) places.lane[k] = static_cast<uint8_t>(place[k] - origin);
    put_lanes(y, value, Write::Set);
    store_pack(winner, places);
  }
};

template <int N>
__global__ void __launch_bounds__(kThreads) max_pool_forward_kernel(PoolShape s, int oh, int ow, int row_blocks,
                                                                    const storage* x, storage* y, uint8_t* winner) {
  const Place at = place_of<N>(divide_up(oh, kBand), row_blocks, s.c);
  if (at.column >= ow) return;
  const storage* image = x + at.image * s.h * s.w * s.c + at.channel;  // (h, w, c)
  const int left = at.column * s.stride - s.pad, end = min(oh, (at.row + 1) * kBand);
  for (int row = at.row * kBand; row < end; row++) {
    const int top = row * s.stride - s.pad, i0 = max(0, -top), j0 = max(0, -left);
    const auto pixel = [&](int i, int j) { return load_pack<N>(image + (int64_t{top + i} * s.w + left + j) * s.c); };
    Best<N> best;
    best.start(pixel(i0, j0), i0 * s.size + j0);
    for (int i = i0; i < min(s.size, s.h - top); i++)
      for (int j = j0; j < min(s.size, s.w - left); j++) best.compare(pixel(i, j), i * s.size + j);
    const int64_t out = ((at.image * oh + row) * ow + at.column) * s.c + at.channel;
    best.write(y + out, winner + out, 0);
  }
}

// The network's own window, 3 x 3 with stride 2. The best of each row's three pixels is found once, though two windows
// share every other row: 6 comparisons per output instead of 9, or they would take longer than the memory. A pixel
// outside the image is replaced by its nearest one inside, which belongs to the window too and changes nothing.
template <int N>
__global__ void __launch_bounds__(kThreads) max_pool_3x3_forward_kernel(PoolShape s, int oh, int ow, int row_blocks,
                                                                        const storage* x, storage* y, uint8_t* winner) {
  const Place at = place_of<N>(divide_up(oh, kBand), row_blocks, s.c);
  if (at.column >= ow) return;
  const storage* image = x + at.image * s.h * s.w * s.c + at.channel;  // (h, w, c)
  const int left = at.column * 2 - s.pad, end = min(oh, (at.row + 1) * kBand);
  int column[3];
  UNROLL for (int j = 0; j < 3; j++) column[j] = min(max(left + j, 0), s.w - 1);
  struct Row {
    Pack<storage, N> pixel[3];
    int first;  // place of its column `left`, counted from the image's row 0
  };
  const auto read = [&](int row) {
    const int inside = min(max(row, 0), s.h - 1);
    Row read;
    read.first = inside * 3 - left;
    UNROLL for (int j = 0; j < 3; j++) read.pixel[j] = load_pack<N>(image + (int64_t{inside} * s.w + column[j]) * s.c);
    return read;
  };
  const auto best_of = [&](const Row& row) {
    Best<N> best;
    best.start(row.pixel[0], row.first + column[0]);
    UNROLL for (int j = 1; j < 3; j++) best.compare(row.pixel[j], row.first + column[j]);
    return best;
  };
  Best<N> above = best_of(read(at.row * kBand * 2 - s.pad));
  for (int row = at.row * kBand; row < end; row++) {
    const int top = row * 2 - s.pad;
    const Row second = read(top + 1), third = read(top + 2);
    Best<N> best = above;
    best.compare(best_of(second));
    above = best_of(third);
    best.compare(above);
    const int64_t out = ((at.image * oh + row) * ow + at.column) * s.c + at.channel;
    best.write(y + out, winner + out, top * 3);
  }
}

// The windows that cover any of kSquare pixels from `start` on: first .. end - 1.
struct Covering {
  int first, end;
  __device__ Covering(const PoolShape& s, int start, int outputs)
      : first(max(0, (start + s.pad - s.size) / s.stride + (start + s.pad >= s.size))),
        end(min(outputs, (start + kSquare - 1 + s.pad) / s.stride + 1)) {}
};

// WINDOWS bounds the windows of a Covering when it is small, else 0.
template <int N, int WINDOWS>
__global__ void __launch_bounds__(kThreads)
    max_pool_backward_kernel(PoolShape s, int oh, int ow, int row_blocks, const storage* dy, const uint8_t* winner,
                             storage* dx, Write write) {
  const Place at = place_of<N>(divide_up(s.h, kSquare), row_blocks, s.c);
  const int top = at.row * kSquare, left = at.column * kSquare;
  if (left >= s.w) return;
  const Covering rows(s, top, oh), columns(s, left, ow);
  const int64_t from = at.image * oh * ow * s.c + at.channel;
  real sum[kSquare][kSquare][N] = {};
  const auto add = [&](const Pack<storage, N>& g, const Pack<uint8_t, N>& won, int row, int column, bool covers) {
    UNROLL for (int a = 0; a < kSquare; a++) UNROLL for (int b = 0; b < kSquare; b++) {
      const int i = top + a + s.pad - row * s.stride, j = left + b + s.pad - column * s.stride;
      const bool inside = covers && i >= 0 && i < s.size && j >= 0 && j < s.size;
      const int position = inside ? i * s.size + j : -1;
      UNROLL for (int k = 0; k < N; k++) if (won.lane[k] == position) sum[a][b][k] += load(g.lane[k]);
    }
  };
  if constexpr (WINDOWS > 0) {  // all loads first; past the last window they repeat one that does not count
    Pack<storage, N> g[WINDOWS][WINDOWS];
    Pack<uint8_t, N> won[WINDOWS][WINDOWS];
    UNROLL for (int i = 0; i < WINDOWS; i++) UNROLL for (int j = 0; j < WINDOWS; j++) {
      const int row = min(rows.first + i, oh - 1), column = min(columns.first + j, ow - 1);
      const int64_t window = from + (int64_t{row} * ow + column) * s.c;
      g[i][j] = load_pack<N>(dy + window);
      won[i][j] = load_pack<N>(winner + window);
    }
    UNROLL for (int i = 0; i < WINDOWS; i++) UNROLL for (int j = 0; j < WINDOWS; j++) {
      const int row = rows.first + i, column = columns.first + j;
      add(g[i][j], won[i][j], row, column, row < rows.end && column < columns.end);
    }
  } else {
    for (int row = rows.first; row < rows.end; row++)
      for (int column = columns.first; column < columns.end; column++) {
        const int64_t window = from + (int64_t{row} * ow + column) * s.c;
        add(load_pack<N>(dy + window), load_pack<N>(winner + window), row, column, true);
      }
  }
  UNROLL for (int a = 0; a < kSquare; a++) UNROLL for (int b = 0; b < kSquare; b++) if (top + a < s.h && left + b < s.w)
      put_lanes(dx + ((at.image * s.h + top + a) * s.w + left + b) * s.c + at.channel, sum[a][b], write);
}

// Blocks of kThreads over each line of `columns` pixels.
struct Blocks {
  int per_line;
  unsigned all;
  Blocks(int64_t lines, int64_t columns, int packs) : per_line(0), all(0) {
    const int64_t per_row = divide_up(columns * packs, kThreads);
    KERNEL_CHECK(columns * packs < int64_t{1} << 31 && lines * per_row < int64_t{1} << 31, "fewer than 2^31 blocks");
    per_line = static_cast<int>(per_row);
    all = static_cast<unsigned>(lines * per_row);
  }
};

template <int N>
void launch_forward(Stream stream, const PoolShape& s, const storage* x, storage* y, uint8_t* winner) {
  const int oh = s.oh(), ow = s.ow();
  const Blocks blocks(int64_t{s.n} * divide_up(oh, kBand), ow, s.c / N);
  if (s.size == 3 && s.stride == 2)
    LAUNCH(max_pool_3x3_forward_kernel<N>, blocks.all, kThreads, 0, stream, s, oh, ow, blocks.per_line, x, y, winner);
  else
    LAUNCH(max_pool_forward_kernel<N>, blocks.all, kThreads, 0, stream, s, oh, ow, blocks.per_line, x, y, winner);
}

template <int N>
void launch_backward(Stream stream, const PoolShape& s, const storage* dy, const uint8_t* winner, storage* dx,
                     Write write) {
  const Blocks blocks(int64_t{s.n} * divide_up(s.h, kSquare), divide_up(s.w, kSquare), s.c / N);
  const bool few = divide_up(s.size + kSquare - 1, s.stride) <= 2;
  const auto max_pool_backward_for_windows = few ? max_pool_backward_kernel<N, 2> : max_pool_backward_kernel<N, 0>;
  LAUNCH(max_pool_backward_for_windows, blocks.all, kThreads, 0, stream, s, s.oh(), s.ow(), blocks.per_line, dy, winner,
         dx, write);
}

void check(const PoolShape& s) {
  KERNEL_CHECK(s.size * s.size <= 256 && s.pad < s.size, "a window of at most 16 that is wider than its padding");
  KERNEL_CHECK(s.stride > 0 && s.oh() > 0 && s.ow() > 0, "a window that fits into the padded image");
}

}  // namespace

void max_pool_forward(Stream stream, const PoolShape& s, const storage* x, storage* y, uint8_t* winner) {
  check(s);
  if (packs_fit(s.c, x, y, winner))
    launch_forward<kFull<storage>>(stream, s, x, y, winner);
  else
    launch_forward<1>(stream, s, x, y, winner);
}

void max_pool_backward(Stream stream, const PoolShape& s, const storage* dy, const uint8_t* winner, storage* dx,
                       Write write) {
  check(s);
  if (packs_fit(s.c, dy, winner, dx))
    launch_backward<kFull<storage>>(stream, s, dy, winner, dx, write);
  else
    launch_backward<1>(stream, s, dy, winner, dx, write);
}

// The mean over an image's pixels is pattern pooling without masks.
void mean_pool_forward(Stream stream, const storage* x, int n, int hw, int c, real* y) {
  pattern_pool_forward(stream, x, nullptr, n, hw, c, 0, y);
}

void mean_pool_backward(Stream stream, const real* dy, int n, int hw, int c, storage* dx, Write write) {
  pattern_pool_backward(stream, dy, nullptr, nullptr, n, hw, c, 0, dx, write, nullptr, Write::Set);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
