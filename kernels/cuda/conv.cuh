// The factors of a convolution's matrix products: addresses of pixels under taps, and the factors for tile.cuh;
// conv_tensor.cuh has those for tensor_tile.cuh. A pixel and a tap are each computed once, with FastDivide for the
// divisions. Combining them costs one addition of packed coordinates and two comparisons.
#pragma once
#include "kernels/cuda/product.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

// Two coordinates in one word, y in the upper half, so that one addition adds both. Convolutions check that sizes are
// below kLargestSide, so neither half overflows.
// kBias keeps a negative x from borrowing out of y.
constexpr int kLargestSide = 1 << 13, kBias = 1 << 14;
// A y of at least 0x4000 exceeds kLargestSide, alone or summed, so inside() rejects it.
constexpr int kNowhere = 0x6000 << 16, kNoTap = 0x4000 << 16;

__device__ inline int pack_coordinates(int y, int x) {
  return static_cast<int>(static_cast<unsigned>(y) << 16) + x + kBias;
}

// A pixel of a grid (n, height, width), in memory order.
struct PixelGrid {
  FastDivide by_width, by_height;
  int pixels = 0;

  struct Pixel {
    int n, y, x;
  };
  __device__ Pixel locate(int index) const {
    const int row = by_width.quotient(index), n = by_height.quotient(row);
    return {n, by_height.remainder(row, n), by_width.remainder(index, row)};
  }
};

// Addresses of a picture (n, h, w, c) for the pixels of a grid and a filter's taps: pixel (y, x) under tap (i, j) reads
// (y * stride - pad_y + i, x * stride - pad_x + j); zero outside. Columns are (i, j, c), where by_c may divide by more
// than c: then every tap has so many columns, and those from c on do not exist.
struct Gather {
  const storage* picture;
  int h, w, c;
  PixelGrid grid;
  int stride, pad_y, pad_x;
  FastDivide by_c, by_taps_x;

  struct Pixel {
    int at, coordinates;
  };
  struct Tap {
    int at, coordinates, c;
  };
  __device__ Pixel pixel(int index) const {
    if (index >= grid.pixels) return {0, kNowhere};
    const auto [n, y, x] = grid.locate(index);
    const int top = y * stride - pad_y, left = x * stride - pad_x;
    return {(n * h + top) * w + left, pack_coordinates(top, left)};
  }
  __device__ Tap tap(int column, int columns) const {
    if (column >= columns) return {0, kNoTap, 0};
    const int tap = by_c.quotient(column), i = by_taps_x.quotient(tap), j = by_taps_x.remainder(tap, i);
    return {i * w + j, static_cast<int>(static_cast<unsigned>(i) << 16) + j, by_c.remainder(column, tap)};
  }
  template <class A, class B>  // a pixel and a tap, or what has their coordinates
  __device__ bool inside(const A& pixel, const B& tap) const {
    const unsigned both = static_cast<unsigned>(pixel.coordinates) + static_cast<unsigned>(tap.coordinates);
    return (both >> 16) < static_cast<unsigned>(h) && (both & 0xffffu) - kBias < static_cast<unsigned>(w);
  }
  __device__ const storage* at(const Pixel& pixel, const Tap& tap) const {
    return picture + int64_t{pixel.at + tap.at} * c + tap.c;
  }
};

// Rows are pixels, the depth is (i, j, c).
template <int Lanes>
struct PixelRows {
  static constexpr bool kAlongDepth = true;
  static constexpr int kLanes = Lanes;
  using Row = Gather::Pixel;
  using Depth = Gather::Tap;

  Gather gather;
  int end;

  __device__ Row row(int index) const { return gather.pixel(index); }
  __device__ Depth depth(int p) const { return gather.tap(p, end); }
  __device__ bool inside(const Row& row, const Depth& depth) const { return gather.inside(row, depth); }
  __device__ const storage* at(const Row& row, const Depth& depth) const { return gather.at(row, depth); }
};

// The depth is pixels, columns are (i, j, c). gather.grid.pixels is the end of the depth.
template <int Lanes>
struct PixelDepths {
  static constexpr bool kAlongDepth = false;
  static constexpr int kLanes = Lanes;
  using Row = Gather::Tap;
  using Depth = Gather::Pixel;

  Gather gather;
  int columns;

  __device__ Row row(int index) const { return gather.tap(index, columns); }
  __device__ Depth depth(int p) const { return gather.pixel(p); }
  __device__ bool inside(const Row& row, const Depth& depth) const { return gather.inside(depth, row); }
  __device__ const storage* at(const Row& row, const Depth& depth) const { return gather.at(depth, row); }
};

// Weights (k, kh, kw, c) with columns c and depth (i, j, k) over some of their taps in reverse: i = last_y,
// last_y - stride, ...
template <int Lanes>
struct ReversedTaps {
  static constexpr bool kAlongDepth = false;
  static constexpr int kLanes = Lanes;
  using Row = int;
  using Depth = int;

  const storage* weights;
  int kh, kw, c;
  int last_y, last_x, stride;
  FastDivide by_k, by_taps_x;
  int end;

  __device__ int row(int index) const { return index < c ? index : -1; }
  __device__ int depth(int p) const {
    if (p >= end) return -1;
    const int tap = by_k.quotient(p), k = by_k.remainder(p, tap);
    const int y = by_taps_x.quotient(tap), x = by_taps_x.remainder(tap, y);
    return (k * kh + last_y - stride * y) * kw + last_x - stride * x;
  }
  __device__ bool inside(int row, int depth) const { return (row | depth) >= 0; }
  __device__ const storage* at(int row, int depth) const { return weights + int64_t{depth} * c + row; }
};

}  // namespace mpanet::PRECISION::KERNEL_NS
