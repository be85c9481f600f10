// Max pooling.
//   forward   y = maximum of its size x size window; of equal values the first in row order, and NaN is a maximum
//             winner = the position of the maximum in the window, row * size + column
//   backward  dx = sum of dy over the windows whose maximum is at the pixel, in output order, without atomics
// A thread takes a pack of channels (16 bytes); adjacent threads take the next packs, then the next columns. Forward:
// four rows of one output column, so that rows of two overlapping windows hit L1. Backward: one input pixel; for the
// network's 3 x 3 window with stride 2, a square of 2 x 2 pixels, which needs four windows. The first max pool, 192 x
// 64 x 64 channels in bf16, per image: the forward reads x (1,573 KB) and writes y (393 KB) and winner (197 KB); the
// backward reads dy and winner and writes dx: 2,163 KB each, once, in whole sectors. Windows overlap, so loads request
// 1.7 times the bytes of x and 4 times those of dy and winner; repeated ones hit L1 and L2.
#include "kernels/cuda/numeric.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr int kThreads = 256;
constexpr int kBand = 4;  // output rows of a thread, forward

// A thread's work: image, row and column (of outputs, bands, pixels or squares), first channel. The threads of a block
// have the same row.
struct PoolItem {
  int64_t image;
  int row, column, channel;
};

template <int N>
__device__ PoolItem pool_item(int rows, int row_blocks, int c) {
  const unsigned line = blockIdx.x / row_blocks, packs = c / N;
  const unsigned item = blockIdx.x % row_blocks * kThreads + threadIdx.x;
  return {line / rows, static_cast<int>(line % rows), static_cast<int>(item / packs),
          static_cast<int>(item % packs) * N};
}

// The maxima so far of a pack of channels, and their positions.
template <int N>
struct Best {
  real value[N];
  int position[N];

  __device__ void start(const Pack<storage, N>& pack, int at) {
    unpack(pack, value);
    UNROLL
    for (int k = 0; k < N; k++) position[k] = at;
  }
  __device__ void compare(int k, real other, int at) {
    const bool better = other > value[k] || other != other;
    value[k] = better ? other : value[k];
    position[k] = better ? at : position[k];
  }
  __device__ void compare(const Pack<storage, N>& pack, int at) {
    real other[N];
    unpack(pack, other);
    UNROLL
    for (int k = 0; k < N; k++) compare(k, other[k], at);
  }
  __device__ void compare(const Best& later) {
    UNROLL
    for (int k = 0; k < N; k++) compare(k, later.value[k], later.position[k]);
  }
  // `origin` is subtracted from the positions.
  __device__ void write(storage* y, uint8_t* winner, int origin) const {
    Pack<uint8_t, N> positions;
    UNROLL
    for (int k = 0; k < N; k++) positions.lane[k] = static_cast<uint8_t>(position[k] - origin);
    put_lanes(y, value, Write::Set);
    store_pack(winner, positions);
  }
};

template <int N>
__global__ void __launch_bounds__(kThreads) max_pool_forward_kernel(PoolShape s, int oh, int ow, int row_blocks,
                                                                    const storage* x, storage* y, uint8_t* winner) {
  const PoolItem at = pool_item<N>(divide_up(oh, kBand), row_blocks, s.c);
  if (at.column >= ow) return;
  const storage* image = x + at.image * s.h * s.w * s.c + at.channel;  // (h, w, c)
  const int left = at.column * s.stride - s.pad, end = min(oh, (at.row + 1) * kBand);
  const int j0 = max(0, -left), j1 = min(s.size, s.w - left);
  for (int row = at.row * kBand; row < end; row++) {
    const int top = row * s.stride - s.pad, i0 = max(0, -top), i1 = min(s.size, s.h - top);
    const storage* pixels = image + (int64_t{top + i0} * s.w + left) * s.c;  // row i, column 0 of the window
    Best<N> best;
    best.start(load_pack<N>(pixels + int64_t{j0} * s.c), i0 * s.size + j0);
    for (int i = i0; i < i1; i++, pixels += int64_t{s.w} * s.c) {
      ONE_BY_ONE
      for (int j = j0; j < j1; j++) best.compare(load_pack<N>(pixels + int64_t{j} * s.c), i * s.size + j);
    }
    const int64_t out = ((at.image * oh + row) * ow + at.column) * s.c + at.channel;
    best.write(y + out, winner + out, 0);
  }
}

// The network's window, 3 x 3 with stride 2. The maximum of each row's three pixels is computed once, although two
// windows contain every other row: 6 comparisons per output instead of 9, which would take longer than the memory. A
// pixel outside the image is replaced by the nearest one inside, which is in the window too and changes nothing.
template <int N>
__global__ void __launch_bounds__(kThreads) max_pool_3x3_forward_kernel(PoolShape s, int oh, int ow, int row_blocks,
                                                                        const storage* x, storage* y, uint8_t* winner) {
  const PoolItem at = pool_item<N>(divide_up(oh, kBand), row_blocks, s.c);
  if (at.column >= ow) return;
  const storage* image = x + at.image * s.h * s.w * s.c + at.channel;  // (h, w, c)
  const int left = at.column * 2 - s.pad, end = min(oh, (at.row + 1) * kBand);
  int column[3];
  UNROLL
  for (int j = 0; j < 3; j++) column[j] = min(max(left + j, 0), s.w - 1);
  struct Row {
    Pack<storage, N> pixel[3];
    int first;  // position of its column `left`, counted from row 0 of the image
  };
  const auto read = [&](int row) {
    const int inside = min(max(row, 0), s.h - 1);
    Row read;
    read.first = inside * 3 - left;
    UNROLL
    for (int j = 0; j < 3; j++) read.pixel[j] = load_pack<N>(image + (int64_t{inside} * s.w + column[j]) * s.c);
    return read;
  };
  const auto best_of = [&](const Row& row) {
    Best<N> best;
    best.start(row.pixel[0], row.first + column[0]);
    UNROLL
    for (int j = 1; j < 3; j++) best.compare(row.pixel[j], row.first + column[j]);
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

// A pack of winners, four bytes to a word; a shift extracts one.
template <int N>
struct Winners {
  static constexpr bool kWords = N % 4 == 0;
  using Word = std::conditional_t<kWords, uint32_t, uint8_t>;
  Pack<Word, kWords ? N / 4 : N> word;
  __device__ explicit Winners(const uint8_t* from)
      : word(load_pack < kWords ? N / 4 : N > (reinterpret_cast<const Word*>(from))) {}
  __device__ int operator[](int k) const {
    if constexpr (kWords)
      return static_cast<int>(word.lane[k / 4] >> (8 * (k % 4)) & 255);
    else
      return word.lane[k];
  }
};

// Adds a window's gradient to the sums of the channels whose maximum is at `position`.
template <int N>
__device__ void add_won(const Pack<storage, N>& g, const Winners<N>& won, int position, real (&sum)[N]) {
  real value[N];
  unpack(g, value);
  UNROLL
  for (int k = 0; k < N; k++)
    if (won[k] == position) sum[k] += value[k];
}

// The windows first .. end - 1 cover `at`.
struct Covering {
  int first, end;
  __device__ Covering(const PoolShape& s, int at, int outputs)
      : first(max(0, (at + s.pad - s.size) / s.stride + (at + s.pad >= s.size))),
        end(min(outputs, (at + s.pad) / s.stride + 1)) {}
};

template <int N>
__global__ void __launch_bounds__(kThreads)
    max_pool_backward_kernel(PoolShape s, int oh, int ow, int row_blocks, const storage* dy, const uint8_t* winner,
                             storage* dx, Write write) {
  const PoolItem at = pool_item<N>(s.h, row_blocks, s.c);
  if (at.column >= s.w) return;
  const Covering rows(s, at.row, oh), columns(s, at.column, ow);
  real sum[N] = {};
  for (int row = rows.first; row < rows.end; row++) {
    ONE_BY_ONE
    for (int column = columns.first; column < columns.end; column++) {
      const int position = (at.row + s.pad - row * s.stride) * s.size + at.column + s.pad - column * s.stride;
      const int64_t window = ((at.image * oh + row) * ow + column) * s.c + at.channel;
      add_won(load_pack<N>(dy + window), Winners<N>(winner + window), position, sum);
    }
  }
  put_lanes(dx + ((at.image * s.h + at.row) * s.w + at.column) * s.c + at.channel, sum, write);
}

// 3 x 3 with stride 2: a square of 2 x 2 pixels. Four windows cover it, with nine pairs of window and pixel. In y: the
// upper pixels are row 1 of window `row`; the lower ones are row 2 of it and row 0 of window `row` + 1. x likewise.
template <int N>
__global__ void __launch_bounds__(kThreads)
    max_pool_3x3_backward_kernel(PoolShape s, int squares, int oh, int ow, int row_blocks, const storage* dy,
                                 const uint8_t* winner, storage* dx, Write write) {
  const PoolItem at = pool_item<N>(squares, row_blocks, s.c);
  const int before = (s.pad + 1) % 2, top = at.row * 2 - before, left = at.column * 2 - before;
  if (left >= s.w) return;
  const int row = (top + s.pad - 1) / 2, column = (left + s.pad - 1) / 2;
  real sum[2][2][N] = {};
  UNROLL
  for (int i = 0; i < 2; i++) {
    UNROLL
    for (int j = 0; j < 2; j++) {
      const int to_row = min(max(row + i, 0), oh - 1), to_column = min(max(column + j, 0), ow - 1);
      const bool exists = to_row == row + i && to_column == column + j;
      const int64_t window = ((at.image * oh + to_row) * ow + to_column) * s.c + at.channel;
      const Pack<storage, N> g = load_pack<N>(dy + window);
      const Winners<N> won(winner + window);
      UNROLL
      for (int a = i; a < 2; a++) {
        UNROLL
        for (int b = j; b < 2; b++) {
          const int position = (1 + a - 2 * i) * 3 + 1 + b - 2 * j;
          add_won(g, won, exists ? position : -1, sum[a][b]);
        }
      }
    }
  }
  UNROLL
  for (int a = 0; a < 2; a++) {
    UNROLL
    for (int b = 0; b < 2; b++)
      if (top + a >= 0 && top + a < s.h && left + b >= 0 && left + b < s.w)
        put_lanes(dx + ((at.image * s.h + top + a) * s.w + left + b) * s.c + at.channel, sum[a][b], write);
  }
}

// Blocks of kThreads threads; each block computes a part of one line of `columns` pixels.
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
  const int oh = s.oh(), ow = s.ow();
  if (s.size == 3 && s.stride == 2) {
    const int before = (s.pad + 1) % 2, down = (s.h + 1 + before) / 2, across = (s.w + 1 + before) / 2;
    const Blocks blocks(int64_t{s.n} * down, across, s.c / N);
    LAUNCH(max_pool_3x3_backward_kernel<N>, blocks.all, kThreads, 0, stream, s, down, oh, ow, blocks.per_line, dy,
           winner, dx, write);
  } else {
    const Blocks blocks(int64_t{s.n} * s.h, s.w, s.c / N);
    LAUNCH(max_pool_backward_kernel<N>, blocks.all, kThreads, 0, stream, s, oh, ow, blocks.per_line, dy, winner, dx,
           write);
  }
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

}  // namespace mpanet::PRECISION::KERNEL_NS
