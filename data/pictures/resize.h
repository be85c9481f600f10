// Pillow's antialiased bilinear resize of 8-bit channels, Image.resize((width, height), BILINEAR), to the bit: a
// separable triangle filter whose support grows with the down-scale; coefficients normalised in double and rounded to
// 22-bit fixed point; horizontal pass first; each pass rounded and clipped to 8 bits; a pass skipped where the size
// does not change. (Pillow up to 12.1. From 12.2 on it runs the vertical pass first for pictures much taller than wide,
// from 13 on for many that lose more height than width, which moves some values by one.)
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
  std::vector<uint8_t> rows_;  // the horizontal pass's output
  std::vector<int32_t> line_;  // one row of it in the making
};

Image resize_bilinear(const Image& in, int height, int width);

}  // namespace mpanet
