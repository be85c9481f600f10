// The factors of a convolution's matrix products on tensor cores (tensor_tile.cuh). A piece never crosses taps: if the
// channels of 16 bits cannot be read in packs, every tap has tap_channels(c) of them, and those from c on are zero. So
// 3 channels are 4, and the depth is 4 times the taps (conv_stem.cuh needs no such channels). Nor do pieces of one
// float.
//
// A step along the depth usually stays within a tap, where an addition advances the depth. It is divided into tap and
// channel again when its tap ends.
#pragma once
#include "kernels/cuda/conv.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

constexpr __host__ __device__ int tap_channels(int c) { return (c + 3) / 4 * 4; }

// The address of an element as a number: a pixel's may be outside of the picture before a tap is added.
__device__ inline uintptr_t address_of(const storage* start, int64_t elements) {
  return reinterpret_cast<uintptr_t>(start) + static_cast<uintptr_t>(elements * int64_t{sizeof(storage)});
}
__device__ inline int64_t bytes_of(int64_t elements) { return elements * int64_t{sizeof(storage)}; }

struct TensorRow {
  uintptr_t address;
  int coordinates;  // of a pixel or tap for Gather::inside(); in other factors -1 outside and 0 inside
  int at;           // channel, of pieces along the width
};
struct TensorDepth {
  int64_t bytes;
  int coordinates;  // as above
  int p, at;        // depth, and the channel in its tap
};

// Rows are pixels, the depth is (i, j, c).
template <int Lanes>
struct TensorPixelRows {
  static constexpr bool kAlongDepth = true;
  static constexpr int kLanes = Lanes;
  using Element = storage;
  using Row = TensorRow;
  using Depth = TensorDepth;

  Gather gather;
  int end;
  bool packed;

  __device__ Row row(int index) const {
    const Gather::Pixel pixel = gather.pixel(index);
    return {address_of(gather.picture, int64_t{pixel.at} * gather.c), pixel.coordinates, 0};
  }
  __device__ Depth depth(int p) const {
    const Gather::Tap tap = gather.tap(p, end);
    return {bytes_of(int64_t{tap.at} * gather.c + tap.c), tap.coordinates, p, tap.c};
  }
  __device__ void advance(Depth& depth) const {
    depth.p += kStepDepth<storage>, depth.at += kStepDepth<storage>, depth.bytes += kStepBytes;
    if (depth.at >= static_cast<int>(gather.by_c.divisor)) depth = this->depth(depth.p);
  }
  __device__ bool inside(const Row& row, const Depth& depth) const { return gather.inside(row, depth); }
  __device__ int left(const Row&, const Depth& depth) const { return gather.c - depth.at; }
};

// The depth is pixels, columns are (i, j, c). gather.grid.pixels is the end of the depth.
template <int Lanes>
struct TensorPixelDepths {
  static constexpr bool kAlongDepth = false;
  static constexpr int kLanes = Lanes;
  using Element = storage;
  using Row = TensorRow;
  using Depth = TensorDepth;

  Gather gather;
  int columns;
  bool packed;

  __device__ Row row(int index) const {
    const Gather::Tap tap = gather.tap(index, columns);
    return {address_of(gather.picture, int64_t{tap.at} * gather.c + tap.c), tap.coordinates, tap.c};
  }
  __device__ Depth depth(int p) const {
    const Gather::Pixel pixel = gather.pixel(p);
    return {bytes_of(int64_t{pixel.at} * gather.c), pixel.coordinates, p, 0};
  }
  __device__ void advance(Depth& depth) const { depth = this->depth(depth.p + kStepDepth<storage>); }
  __device__ bool inside(const Row& row, const Depth& depth) const { return gather.inside(depth, row); }
  __device__ int left(const Row& row, const Depth&) const { return gather.c - row.at; }
};

// Weights (k, taps, c): rows are k, the depth is (tap, c) with by_c.divisor per tap.
template <int Lanes>
struct TensorWeightRows {
  static constexpr bool kAlongDepth = true;
  static constexpr int kLanes = Lanes;
  using Element = storage;
  using Row = TensorRow;
  using Depth = TensorDepth;

  const storage* weights;
  int rows, taps, c, end;
  FastDivide by_c;
  bool packed;

  __device__ Row row(int index) const {
    return {address_of(weights, int64_t{index} * taps * c), index < rows ? 0 : -1, 0};
  }
  __device__ Depth depth(int p) const {
    const int tap = by_c.quotient(p), at = by_c.remainder(p, tap);
    return {bytes_of(int64_t{tap} * c + at), p < end ? 0 : -1, p, at};
  }
  __device__ void advance(Depth& depth) const {
    if constexpr (Lanes == kFull<storage>) {  // c per tap, so taps are adjacent
      depth.p += kStepDepth<storage>, depth.bytes += kStepBytes;
      depth.coordinates = depth.p < end ? 0 : -1;
    } else {
      depth = this->depth(depth.p + kStepDepth<storage>);
    }
  }
  __device__ bool inside(const Row& row, const Depth& depth) const {
    return (row.coordinates | depth.coordinates) >= 0;
  }
  __device__ int left(const Row&, const Depth& depth) const { return c - depth.at; }
};

// A matrix (depth, columns): rows of the tile are its columns.
template <int Lanes>
struct TensorColumns {
  static constexpr bool kAlongDepth = false;
  static constexpr int kLanes = Lanes;
  using Element = storage;
  using Row = TensorRow;
  using Depth = TensorDepth;

  const storage* matrix;
  int columns, end;
  bool packed;

  __device__ Row row(int index) const { return {address_of(matrix, index), index < columns ? 0 : -1, index}; }
  __device__ Depth depth(int p) const { return {bytes_of(int64_t{p} * columns), p < end ? 0 : -1, p, 0}; }
  __device__ void advance(Depth& depth) const {
    depth.p += kStepDepth<storage>;
    depth.bytes += bytes_of(int64_t{columns} * kStepDepth<storage>);
    depth.coordinates = depth.p < end ? 0 : -1;
  }
  __device__ bool inside(const Row& row, const Depth& depth) const {
    return (row.coordinates | depth.coordinates) >= 0;
  }
  __device__ int left(const Row& row, const Depth&) const { return columns - row.at; }
};

// Weights (k, kh, kw, c) with columns c and depth (i, j, k) over some of their taps in reverse, as ReversedTaps, with
// taps.by_k.divisor per tap.
template <int Lanes>
struct TensorReversedTaps {
  static constexpr bool kAlongDepth = false;
  static constexpr int kLanes = Lanes;
  using Element = storage;
  using Row = TensorRow;
  using Depth = TensorDepth;

  ReversedTaps<Lanes> taps;
  int k;
  bool packed;

  __device__ Row row(int index) const { return {address_of(taps.weights, index), taps.row(index) < 0 ? -1 : 0, index}; }
  __device__ Depth depth(int p) const {
    const int at = p - taps.by_k.quotient(p) * static_cast<int>(taps.by_k.divisor);
    const int row = at < k ? taps.depth(p) : -1;
    return {bytes_of(int64_t{row} * taps.c), row < 0 ? -1 : 0, p, at};
  }
  __device__ void advance(Depth& depth) const {
    depth.p += kStepDepth<storage>, depth.at += kStepDepth<storage>;
    depth.bytes += bytes_of(int64_t{taps.kh} * taps.kw * taps.c * kStepDepth<storage>);
    if (depth.at >= k) depth = this->depth(depth.p);
  }
  __device__ bool inside(const Row& row, const Depth& depth) const {
    return (row.coordinates | depth.coordinates) >= 0;
  }
  __device__ int left(const Row& row, const Depth&) const { return taps.c - row.at; }
};

}  // namespace mpanet::PRECISION::KERNEL_NS
