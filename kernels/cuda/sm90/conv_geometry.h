// The pixels that a pass of convolution reads and writes, as tensor maps (tensor_map.h). Host code of conv_wgmma.cu.
#pragma once
#include "kernels/cuda/conv.cuh"
#include "kernels/cuda/sm90/tensor_map.h"
#include "kernels/cuda/sm90/wgmma_memory.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

namespace runtime = ::mpanet::cuda;

constexpr bool kBfloat = std::is_same_v<storage, bfloat16>;
constexpr int kChannels = kBoxDepth;  // of a box

inline PixelGrid grid_of(int n, int h, int w) { return {FastDivide(w), FastDivide(h), n * h * w}; }

// What is read under the taps of a filter.
struct Geometry {
  int h, w;  // of the pictures that are read
  PixelGrid grid;
  int stride, pad_y, pad_x, taps_y, taps_x;

  bool can_describe() const { return runtime::can_describe({w, h}, first(), count(), stride, {taps_x, taps_y}); }
  std::array<int, 2> first() const { return {-pad_x, -pad_y}; }
  std::array<int, 2> count() const {
    return {static_cast<int>(grid.by_width.divisor), static_cast<int>(grid.by_height.divisor)};
  }
  const CUtensorMap& map(Stream stream, const storage* pictures, int n, int c, int pixels) const {
    const auto size = [](int value) { return static_cast<uint64_t>(value); };
    return runtime::tensor_map(stream, runtime::PixelBox{pictures,
                                                         kBfloat,
                                                         {size(c), size(w), size(h), size(n)},
                                                         first(),
                                                         count(),
                                                         stride,
                                                         static_cast<uint32_t>(pixels)});
  }
};

// Of forward, and of backward weights, which reads the same pixels.
inline Geometry forward_geometry(const ConvShape& s) {
  return {s.h, s.w, grid_of(s.n, s.oh(), s.ow()), s.stride, s.pad, s.pad, s.kh, s.kw};
}

// Residue (a, b) of (y, x) modulo the stride in backward data, see conv.cu. first_y, first_x: the first tap that
// reaches it.
struct Residue {
  int a, b, first_y, first_x;
  Geometry geometry;
};
inline Residue residue(const ConvShape& s, int a, int b) {
  const int first_y = (a + s.pad) % s.stride, first_x = (b + s.pad) % s.stride;
  const auto count = [&](int size, int first) { return size > first ? (size - first - 1) / s.stride + 1 : 0; };
  const int taps_y = count(s.kh, first_y), taps_x = count(s.kw, first_x);
  return {a,
          b,
          first_y,
          first_x,
          {s.oh(), s.ow(), grid_of(s.n, count(s.h, a), count(s.w, b)), 1, taps_y - 1 - (a + s.pad - first_y) / s.stride,
           taps_x - 1 - (b + s.pad - first_x) / s.stride, taps_y, taps_x}};
}

template <class Body>
void each_residue(const ConvShape& s, const Body& body) {
  for (int a = 0; a < s.stride; a++)
    for (int b = 0; b < s.stride; b++) body(residue(s, a, b));
}

// The sides (w, h, n) of a box that has 16 pixels in order, from every 16th on; zeros: there is none.
inline std::array<uint32_t, 3> box_of(const std::array<int, 2>& grid) {
  const int rows = kWarpRows, w = grid[0], h = grid[1], lines = std::max(1, rows / w);
  const auto box = [](int x, int y, int n) {
    return std::array<uint32_t, 3>{static_cast<uint32_t>(x), static_cast<uint32_t>(y), static_cast<uint32_t>(n)};
  };
  if (w % rows == 0) return box(rows, 1, 1);
  if (rows % w != 0) return {};
  if (h % lines == 0) return box(w, lines, 1);
  return lines % h == 0 ? box(w, h, lines / h) : std::array<uint32_t, 3>{};
}

// Where results and what they depend on lie: rows of a dense matrix, or every `step`-th pixel and line from (y_0, x_0)
// on of pictures (n, h, w).
struct OutputBoxes {
  int n, h, w, c, step, y_0, x_0;
  std::array<int, 2> grid;

  bool can_describe() const { return step == 1 || box_of(grid)[0] > 0; }
  PixelGrid pixel_grid() const { return step == 1 ? grid_of(1, 1, n * h * w) : grid_of(n, grid[1], grid[0]); }
  void describe(Stream stream, const storage* from, CUtensorMap& to) const {
    if (from == nullptr) return;
    const auto size = [](int64_t value) { return static_cast<uint64_t>(value); };
    if (step == 1) {
      to = runtime::tensor_map(
          stream,
          runtime::TensorBox{from, kBfloat, {size(c), size(int64_t{n} * h * w), 1, 1}, {kChannels, kWarpRows, 1, 1}});
    } else {
      const auto box = box_of(grid);
      to = runtime::tensor_map(stream, runtime::TensorBox{from + (int64_t{y_0} * w + x_0) * c,
                                                          kBfloat,
                                                          {size(c), size(grid[0]), size(grid[1]), size(n)},
                                                          {kChannels, box[0], box[1], box[2]},
                                                          {size(step * c), size(step * w * c), size(h * w * c)}});
    }
  }
};

inline OutputBoxes output_boxes(const ConvShape& s, const Residue& r) {
  return {s.n, s.h, s.w, s.c, s.stride, r.a, r.b, r.geometry.count()};
}

}  // namespace mpanet::PRECISION::KERNEL_NS
