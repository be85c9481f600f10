// The gradient of a convolution's weights in plain loops, in every precision: a matrix product that gathers the
// unfolded input while it packs.
//
//   dw (k, taps * c) = dy' (k, pixels) * x's pixels under each tap
#include "kernels/cpu/conv_providers.h"
#include "kernels/cpu/product.h"
#include "kernels/cpu/tf32.h"

namespace mpanet::PRECISION::cpu::plain {

size_t conv_backward_weights_bytes(Stream stream, const ConvShape& s) {
  return rounded_bytes<storage>(stream, s.input_count(), s.output_count());
}

void conv_backward_weights(Stream stream, const ConvShape& s, const storage* x, const storage* dy, real* dw,
                           Write write, void* workspace) {
  x = operand(stream, x, s.input_count(), workspace);
  dy = operand(stream, dy, s.output_count(), workspace);
  // Columns of the unfolded input are (tap, c). With few channels a panel covers several taps.
  const auto pack = [&](int64_t first, int64_t length, int64_t column, int width, real* panel) {
    for (int64_t i = 0; i < length; i++) {
      const int64_t row = (first + i) / s.ow(), n = row / s.oh();
      const int y = static_cast<int>(row % s.oh()) * s.stride - s.pad;
      const int left = static_cast<int>((first + i) % s.ow()) * s.stride - s.pad;
      for (int j = 0; j < width;) {
        const int tap = static_cast<int>((column + j) / s.c), c = static_cast<int>((column + j) % s.c);
        const int run = std::min(width - j, s.c - c);
        const int yy = y + tap / s.kw, xx = left + tap % s.kw;
        const bool inside = yy >= 0 && yy < s.h && xx >= 0 && xx < s.w;
        const storage* from = x + ((n * s.h + yy) * s.w + xx) * s.c + c;
        real* to = panel + i * kTileColumns + j;
        for (int r = 0; r < run; r++) to[r] = inside ? load(from[r]) : real{0};
        j += run;
      }
    }
  };
  packed_product(s.k, int64_t{s.kh} * s.kw * s.c, int64_t{s.n} * s.oh() * s.ow(), dy, 1, s.k, pack, dw, write);
}

}  // namespace mpanet::PRECISION::cpu::plain
