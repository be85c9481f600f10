// A convolution as products of packed panels: which pixels a part of it reads and writes, and the left factor.
#pragma once
#include "kernels/cpu/convert.h"
#include "kernels/cpu/panel_kernels.h"
#include "kernels/cpu/rows.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu::panels {

using mpanet::cpu::kDepthGroups;
using mpanet::cpu::kGroup;
using mpanet::cpu::kMaxTileRows;

// A pass, or the part of a pass whose pixels read the same taps, as a convolution. The source is x (forward) or dy
// (backward data), the target y or dx. The grid are the pixels of the target that the part computes.
struct Part {
  int pictures;
  int height, width, channels;  // of a source picture
  int rows, columns;            // of the grid
  int step;                     // distance, in source pixels, of what two neighbours of the grid read
  int first_y, first_x, delta;  // tap (i, j) reads the source at y * step + first_y + i * delta, ...
  int taps_y, taps_x;
  int tap_y, tap_x, tap_step;            // tap (i, j) has the weights of (tap_y + i * tap_step, ...)
  int to_height, to_width, to_channels;  // of a target picture
  int to_step, to_y, to_x;               // grid pixel (y, x) is the target's (y * to_step + to_y, ...)
  bool winograd;

  int64_t pixels() const { return int64_t{pictures} * rows * columns; }
  int64_t depth() const { return int64_t{taps_y} * taps_x * channels; }
  int64_t groups() const { return divide_up(depth(), kGroup); }
  int64_t weight_floats() const {
    const int columns_of_panel = panel_kernels().columns;
    const int64_t rows_of_panel = winograd ? int64_t{16} * channels : groups() * kGroup;
    return divide_up(to_channels, columns_of_panel) * columns_of_panel * rows_of_panel;
  }
};

int part_count(const ConvShape& s, ConvPass pass);
// Forward has one part. Backward data has one for each residue of input pixels modulo the stride: the same taps read
// all of them.
Part part_of(const ConvShape& s, ConvPass pass, int index);

struct Pixel {
  const storage* picture;  // the source picture that it reads
  int y, x;                // where tap (0, 0) reads the source
  int64_t target;          // offset of its first channel in the target
};

Pixel locate(const Part& p, const storage* source, int64_t index);

// The first channel of pixel (y, x) of the picture that `pixel` reads. Null outside the picture.
inline const storage* source_at(const Part& p, const Pixel& pixel, int y, int x) {
  if (y < 0 || y >= p.height || x < 0 || x >= p.width) return nullptr;
  return pixel.picture + (int64_t{y} * p.width + x) * p.channels;
}

// Size in floats of the buffer that widened() takes.
constexpr int64_t buffer_floats(int64_t count) { return buffer_size<storage>(count); }

// Elements first..first+count of a pixel's row of the left factor, for any number of channels. Behind the row's end:
// zeros.
void copy_row(const Part& p, const Pixel& pixel, int64_t first, int64_t count, float* to);

// Packs groups begin..end of a tile of `count` pixels, kDepthGroups at most.
void pack_tile(const Part& p, const Pixel* pixels, int count, int64_t begin, int64_t end, float* left);

}  // namespace mpanet::PRECISION::cpu::panels
