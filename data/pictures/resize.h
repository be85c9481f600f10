// Pillow's antialiased bilinear resize of 8-bit channels, Image.resize((width, height), BILINEAR), to the bit, up to
// Pillow 12: a separable triangle filter whose support grows with the down-scale; coefficients normalised in double and
// rounded to 22-bit fixed point; horizontal pass first; each pass rounded and clipped to 8 bits; a pass skipped where
// the size does not change. (12.1 and 12.3 were compared. From 12.2 on Pillow runs the vertical pass first for pictures
// many times taller than wide, such as 3000 x 20; from 13 on for most that lose more height than width. That moves some
// values by one.)
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "data/pictures/image.h"

namespace mpanet {

// The filter that takes a line of `in` pixels to one of `out` pixels.
struct ResizeFilter {
  ResizeFilter(int in, int out);
  int taps = 0;                       // input pixels per output pixel, some with coefficient 0
  std::vector<int32_t> first;         // (out), the first input pixel; first + taps <= in
  std::vector<int32_t> coefficients;  // (out, taps), fixed point, 2^22 is 1
};

// Keeps the filters of sizes it has seen and its scratch memory. One per thread.
class Resizer {
 public:
  // Replaces `out` (another object than `in`) by `in` resized to height x width, both >= 1.
  void resize(const Image& in, int height, int width, Image& out);

 private:
  const ResizeFilter& filter(int in, int out);
  std::map<std::pair<int, int>, ResizeFilter> filters_;
  size_t filter_numbers_ = 0;  // in all of them
  std::vector<uint8_t> rows_;  // some rows of the horizontal pass's output
  std::vector<int32_t> line_;  // one row of it in the making
  std::vector<int32_t> sums_;  // output rows in the making
};

Image resize_bilinear(const Image& in, int height, int width);

}  // namespace mpanet
