#include "kernels/cpu/panel_parts.h"

#include <algorithm>

namespace mpanet::PRECISION::cpu::panels {
namespace {

bool uses_winograd(const ConvShape& s, int channels) {
  return s.kh == 3 && s.kw == 3 && s.stride == 1 && channels % kGroup == 0;
}

}  // namespace

int part_count(const ConvShape& s, ConvPass pass) { return pass == ConvPass::Forward ? 1 : s.stride * s.stride; }

Part part_of(const ConvShape& s, ConvPass pass, int index) {
  Part p{};
  p.pictures = s.n;
  if (pass == ConvPass::Forward) {
    p.height = s.h, p.width = s.w, p.channels = s.c;
    p.rows = s.oh(), p.columns = s.ow(), p.step = s.stride;
    p.first_y = p.first_x = -s.pad, p.delta = 1;
    p.taps_y = s.kh, p.taps_x = s.kw, p.tap_step = 1;
    p.to_height = s.oh(), p.to_width = s.ow(), p.to_channels = s.k, p.to_step = 1;
  } else {
    p.height = s.oh(), p.width = s.ow(), p.channels = s.k;
    p.to_y = index / s.stride, p.to_x = index % s.stride, p.to_step = s.stride;
    p.rows = static_cast<int>(divide_up(s.h - p.to_y, s.stride));
    p.columns = static_cast<int>(divide_up(s.w - p.to_x, s.stride));
    p.step = 1;
    // Tap i reads row (y + pad - i) / stride of dy if that is a whole number.
    p.tap_y = (p.to_y + s.pad) % s.stride, p.tap_x = (p.to_x + s.pad) % s.stride, p.tap_step = s.stride;
    p.first_y = (p.to_y + s.pad - p.tap_y) / s.stride, p.first_x = (p.to_x + s.pad - p.tap_x) / s.stride, p.delta = -1;
    p.taps_y = static_cast<int>(std::max<int64_t>(0, divide_up(s.kh - p.tap_y, s.stride)));
    p.taps_x = static_cast<int>(std::max<int64_t>(0, divide_up(s.kw - p.tap_x, s.stride)));
    p.to_height = s.h, p.to_width = s.w, p.to_channels = s.c;
  }
  p.winograd = uses_winograd(s, p.channels);
  return p;
}

Pixel locate(const Part& p, const storage* source, int64_t index) {
  const int x = static_cast<int>(index % p.columns), y = static_cast<int>(index / p.columns % p.rows);
  const int64_t n = index / p.columns / p.rows;
  const int64_t to = (n * p.to_height + y * p.to_step + p.to_y) * p.to_width + x * p.to_step + p.to_x;
  return {source + n * p.height * p.width * p.channels, y * p.step + p.first_y, x * p.step + p.first_x,
          to * p.to_channels};
}

// Taps that are contiguous in memory are copied together.
void copy_row(const Part& p, const Pixel& pixel, int64_t first, int64_t count, float* to) {
  const int64_t tap_row = int64_t{p.taps_x} * p.channels, depth = p.depth();
  const int64_t end = std::min(first + count, depth);
  for (int64_t at = first; at < end;) {
    const int i = static_cast<int>(at / tap_row);
    const int64_t in_row = at % tap_row;
    const int j = static_cast<int>(in_row / p.channels), c = static_cast<int>(in_row % p.channels);
    const int y = pixel.y + i * p.delta, x = pixel.x + j * p.delta;
    const bool inside = y >= 0 && y < p.height && x >= 0 && x < p.width;
    int taps = 1;
    if (p.delta == 1 && inside) taps = std::min(p.taps_x - j, p.width - x);
    const int64_t run = std::min(int64_t{taps} * p.channels - c, end - at);
    const storage* from = inside ? source_at(p, pixel, y, x) + c : nullptr;
    if (inside)
      widen(from, run, to + at - first);
    else
      std::fill_n(to + at - first, run, 0.0F);
    at += run;
  }
  std::fill(to + std::max<int64_t>(0, end - first), to + count, 0.0F);
}

void pack_tile(const Part& p, const Pixel* pixels, int count, int64_t begin, int64_t end, float* left) {
  const int rows = panel_kernels().rows;
  if (p.channels % kGroup != 0) {
    float buffer[kDepthGroups * kGroup];
    const int64_t length = (end - begin) * kGroup;
    for (int m = 0; m < rows; m++) {
      if (m < count)
        copy_row(p, pixels[m], begin * kGroup, length, buffer);
      else
        std::fill_n(buffer, length, 0.0F);
      for (int64_t g = 0; g < end - begin; g++)
        std::copy_n(buffer + g * kGroup, kGroup, left + (g * rows + m) * kGroup);
    }
    return;
  }
  const int64_t tap_groups = p.channels / kGroup;
  for (int64_t g = begin; g < end;) {
    const int tap = static_cast<int>(g / tap_groups);
    const int64_t first = g % tap_groups, run = std::min(tap_groups - first, end - g);
    const int i = tap / p.taps_x, j = tap % p.taps_x;
    const float* from[kMaxTileRows] = {};
    float buffer[kMaxTileRows][buffer_floats(kDepthGroups * kGroup)];
    for (int m = 0; m < count; m++) {
      const storage* at = source_at(p, pixels[m], pixels[m].y + i * p.delta, pixels[m].x + j * p.delta);
      if (at != nullptr) from[m] = widened(at + first * kGroup, run * kGroup, buffer[m]);
    }
    panel_kernels().pack(from, run, left + (g - begin) * rows * kGroup);
    g += run;
  }
}

}  // namespace mpanet::PRECISION::cpu::panels
