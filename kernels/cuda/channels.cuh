// How the norms divide (images, rows, c), c contiguous, among blocks and threads. For batch norm all rows are one
// image.
//
// A block of 256 threads takes a tile: 2^shift adjacent packs of N channels, and `height` rows of one image. A thread
// takes one pack of channels and every step-th row, step = 256 >> shift. So values per channel stay in registers, and a
// warp reads 128 to 512 contiguous bytes of each row. With fewer than 8 packs per row, a warp reads several contiguous
// rows; lanes are idle if c is no power of two.
#pragma once
#include "kernels/cuda/numeric.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

constexpr int kTileThreads = 256;
constexpr int kTileBlocks = 3;      // resident on a multiprocessor, which allows 80 registers per thread
constexpr int kWidestShift = 5;     // 32 packs
constexpr int kNarrowestShift = 3;  // 8 packs: 128 bytes, one line of the L1 cache
// Enough blocks for the largest GPUs: eight for each of 132 multiprocessors.
constexpr int kBusyBlocks = 1056;

struct Tiling {
  int64_t rows;  // of an image
  int c;
  int shift;   // log2 of the number of packs in a tile
  int tiles;   // tiles per row
  int height;  // rows of a block
  int parts;   // blocks per image and tile: ceil(rows / height)
  int64_t blocks;
};

inline int widest_shift(int c, int lanes) {
  int shift = 0;
  while (shift < kWidestShift && lanes << shift < c) shift++;
  return shift;
}

inline Tiling make_tiling(int64_t images, int64_t rows, int c, int lanes, int shift, int64_t height) {
  constexpr int64_t kMost = int64_t{1} << 30;
  KERNEL_CHECK(images > 0 && rows > 0 && c > 0, "a batch with pixels and channels");
  const int64_t tiles = divide_up(c, int64_t{lanes} << shift), parts = divide_up(rows, height);
  KERNEL_CHECK(height <= kMost && images * parts * tiles <= kMost, "rows for a grid of 2^30 blocks at most");
  return {.rows = rows,
          .c = c,
          .shift = shift,
          .tiles = static_cast<int>(tiles),
          .height = static_cast<int>(height),
          .parts = static_cast<int>(parts),
          .blocks = images * parts * tiles};
}

// For elementwise kernels: about sixteen rows per thread, so that coefficients are loaded rarely, and fewer rows if
// there would be too few blocks. An image's blocks have equal heights.
inline Tiling elementwise_tiling(int64_t images, int64_t rows, int c, int lanes) {
  const int shift = widest_shift(c, lanes), unit = 4 * (kTileThreads >> shift);  // four rows per thread
  Tiling tiling;
  for (int units = 4; units >= 1; units /= 2) {
    const int64_t parts = divide_up(rows, int64_t{units} * unit);
    tiling = make_tiling(images, rows, c, lanes, shift, divide_up(divide_up(rows, parts), unit) * unit);
    if (tiling.blocks >= kBusyBlocks) break;
  }
  return tiling;
}

// The part of a tile that a thread computes.
template <int N>
struct TileThread {
  int column;     // index of its pack in the tile
  int row, step;  // its first row in the block, and the distance to its next row
  int count;      // number of the block's rows
  int part;       // index of the block in the image
  int first;      // the tile's first channel
  int channel;    // the thread's first channel
  bool inside;    // channel < c
  int64_t image;
  int64_t at;  // index of the first element of its row 0, at its channel

  __device__ explicit TileThread(const Tiling& t) {
    const unsigned tile = blockIdx.x % static_cast<unsigned>(t.tiles);
    const unsigned stack = blockIdx.x / static_cast<unsigned>(t.tiles), parts = static_cast<unsigned>(t.parts);
    const int thread = static_cast<int>(threadIdx.x);
    column = thread & ((1 << t.shift) - 1);
    row = thread >> t.shift;
    step = kTileThreads >> t.shift;
    part = static_cast<int>(stack % parts);
    image = stack / parts;
    first = static_cast<int>(tile * N) << t.shift;
    channel = first + column * N;
    inside = channel < t.c;
    const int64_t begin = int64_t{part} * t.height, left = t.rows - begin;
    count = static_cast<int>(left < t.height ? left : t.height);
    at = (image * t.rows + begin) * t.c + channel;
  }
};

// Calls body<rows>(index of an element, elements to the next row) for this thread's rows: kRows at once, then one by
// one.
template <int kRows, int N, class Body>
__device__ void each_tile_row(const Tiling& t, const TileThread<N>& own, const Body& body) {
  const int64_t stride = int64_t{own.step} * t.c;
  int64_t at = own.at + int64_t{own.row} * t.c;
  int row = own.row;
  for (; row + (kRows - 1) * own.step < own.count; row += kRows * own.step, at += kRows * stride)
    body.template operator()<kRows>(at, stride);
  for (; row < own.count; row += own.step, at += stride) body.template operator()<1>(at, stride);
}

// Extra columns of tables in shared memory. Threads j, j + 1, ... access (lane j % N, pack j / N); with the padding
// these are in different banks.
template <int N>
constexpr int kPadding = N == 1 ? 0 : 128 / static_cast<int>(sizeof(real)) / N;

// K values for each channel of a tile.
template <int K, int N>
struct Coefficients {
  real value[K][N][(1 << kWidestShift) + kPadding<N>];
};

// compute(channel, values) computes each channel's K values once, and all threads of the channel read them from shared
// memory. Has a barrier: all threads of the block must call.
template <int K, int N, class Compute>
__device__ void stage_coefficients(Coefficients<K, N>& shared, const TileThread<N>& own, const Tiling& t,
                                   const Compute& compute, real (&mine)[K][N]) {
  const int j = static_cast<int>(threadIdx.x), channel = own.first + j;
  if (j < N << t.shift && channel < t.c) {
    real values[K];
    compute(channel, values);
    for (int k = 0; k < K; k++) shared.value[k][j % N][j / N] = values[k];
  }
  __syncthreads();
  if (!own.inside) return;
  for (int k = 0; k < K; k++)
    for (int v = 0; v < N; v++) mine[k][v] = shared.value[k][v][own.column];
}

inline unsigned tile_grid(const Tiling& tiling) { return static_cast<unsigned>(tiling.blocks); }

// Calls body<lanes>(), which turns a launcher's variable into a template argument of a kernel.
template <class Body>
void with_lanes(bool packed, const Body& body) {
  if (packed) return body.template operator()<kFull<storage>>();
  body.template operator()<1>();
}

}  // namespace mpanet::PRECISION::KERNEL_NS
