// Pillow's antialiased bilinear resize of 8-bit channels, Image.resize((width, height), BILINEAR), to the bit (SPEC
// section 3): a separable triangle filter whose support grows with the down-scale; coefficients normalised in double
// and rounded to 22-bit fixed point; horizontal pass first; each pass rounded and clipped to 8 bits; a pass skipped
// where the size does not change.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "data/image.h"

namespace mpanet {

// The filter that takes a line of `in` pixels to one of `out` pixels.
struct ResizeFilter {
  ResizeFilter(int in, int out);
  int taps = 0;                       // coefficients kept per output pixel, the most that any needs
  std::vector<int32_t> first;         // (out), the first input pixel
  std::vector<int32_t> count;         // (out), how many input pixels, 1..taps
  std::vector<int32_t> coefficients;  // (out, taps), fixed point, 2^22 is 1; zero from count on
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
};

Image resize_bilinear(const Image& in, int height, int width);

}  // namespace mpanet
