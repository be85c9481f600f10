// Pillow's antialiased bilinear resize of 8-bit channels, Image.resize((width, height), BILINEAR), to the bit, for
// Pillow up to 12 (12.1 and 12.3 were compared; docs/method.md, section 3). It is a separable triangle filter whose
// support grows with the down-scale. Coefficients are normalised in double and rounded to 22-bit fixed point. The
// horizontal pass comes first. Each pass is rounded and clipped to 8 bits, and skipped when the size does not change.
// From 12.2 on Pillow runs the vertical pass first for pictures many times taller than wide, such as 3000 x 20, and
// from 13 on for most that lose more height than width. That changes some values by one.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "data/pictures/image.h"

namespace mpanet {

// The filter from a line of `in` pixels to a line of `out` pixels.
struct ResizeFilter {
  ResizeFilter(int in, int out);
  int taps = 0;                       // input pixels per output pixel, some with coefficient 0
  std::vector<int32_t> first;         // (out), the first input pixel; first + taps <= in
  std::vector<int32_t> coefficients;  // (out, taps), fixed point, 2^22 is 1
};

// Keeps the filters of earlier sizes and its scratch memory. Not thread-safe: one per thread.
class Resizer {
 public:
  // out = `in` resized to height x width, both >= 1. `in` and `out` must be different objects.
  void resize(const Image& in, int height, int width, Image& out);

 private:
  const ResizeFilter& filter(int in, int out);
  std::map<std::pair<int, int>, ResizeFilter> filters_;
  size_t filter_numbers_ = 0;  // number of coefficients in all filters
  std::vector<uint8_t> rows_;  // some output rows of the horizontal pass
  std::vector<int32_t> line_;  // scratch memory of resize_row()
  std::vector<int32_t> sums_;  // sums of unfinished output rows
};

Image resize_bilinear(const Image& in, int height, int width);

}  // namespace mpanet
