// Convolution in plain loops: the reference, in f64. The passes are matrix products on tiles of registers (tile.h).
// They gather their factors from the activations, which are never unfolded in memory.
//
//   forward           y (pixels, k)       = x's pixels under each tap (c)       * weights (tap, c, k)
//   backward data     dx (pixels, c)      = dy's pixels above each tap (k)      * weights (tap, k, c)
//   backward weights  dw (k, taps * c)    = dy' (k, pixels)                     * x's pixels under each tap
//
// The first two read weights packed into panels of kTileColumns columns (conv_prepare_weights). The shape alone
// determines the order of each sum, so results do not depend on the number of threads.
#include "core/base/error.h"
#include "kernels/cpu/conv_providers.h"
#include "kernels/cpu/product.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {
namespace {

constexpr int kChunk = 512;  // channels that a tile sums at once
const storage kZeros[kChunk] = {};

struct Pixel {
  int64_t n;
  int y, x;
};

// Output pixels in memory order. source(): the input pixel under a tap.
struct ForwardGather {
  const ConvShape& s;
  const storage* x;

  Pixel locate(int64_t index) const {
    const int64_t row = index / s.ow();
    return {row / s.oh(), static_cast<int>(row % s.oh()), static_cast<int>(index % s.ow())};
  }
  int64_t offset(const Pixel& p) const { return ((p.n * s.oh() + p.y) * s.ow() + p.x) * s.k; }
  const storage* source(const Pixel& p, int i, int j) const {
    const int y = p.y * s.stride - s.pad + i, xx = p.x * s.stride - s.pad + j;
    if (y < 0 || y >= s.h || xx < 0 || xx >= s.w) return nullptr;
    return x + ((p.n * s.h + y) * s.w + xx) * s.c;
  }
};

// Input pixels, ordered by their residues modulo the stride. The same taps read all pixels of a residue, so a tile of
// them skips all other taps.
struct BackwardGather {
  const ConvShape& s;
  const storage* dy;

  Pixel locate(int64_t index) const {
    for (int a = 0; a < s.stride; a++) {
      for (int b = 0; b < s.stride; b++) {
        const int64_t rows = (s.h - a + s.stride - 1) / s.stride, columns = (s.w - b + s.stride - 1) / s.stride;
        const int64_t count = s.n * rows * columns;
        if (index >= count) {
          index -= count;
          continue;
        }
        const int64_t row = index / columns;
        return {row / rows, static_cast<int>(row % rows) * s.stride + a,
                static_cast<int>(index % columns) * s.stride + b};
      }
    }
    MPANET_CHECK(false, "pixel {} past the end", index);
  }
  int64_t offset(const Pixel& p) const { return ((p.n * s.h + p.y) * s.w + p.x) * s.c; }
  const storage* source(const Pixel& p, int i, int j) const {
    const int y = p.y + s.pad - i, x = p.x + s.pad - j;
    if (y < 0 || x < 0 || y % s.stride != 0 || x % s.stride != 0) return nullptr;
    if (y / s.stride >= s.oh() || x / s.stride >= s.ow()) return nullptr;
    return dy + ((p.n * s.oh() + y / s.stride) * s.ow() + x / s.stride) * s.k;
  }
};

// One tile: kTileRows pixels times one panel of weights (taps, depth, kTileColumns).
template <class Gather>
void tile_of_pixels(const ConvShape& s, const Gather& gather, const Pixel* pixels, int count, int depth,
                    const real* panel, Tile& tile) {
  for (int tap = 0; tap < s.kh * s.kw; tap++) {
    const storage* source[kTileRows] = {};
    bool any = false;
    for (int m = 0; m < count; m++) {
      source[m] = gather.source(pixels[m], tap / s.kw, tap % s.kw);
      any = any || source[m] != nullptr;
    }
    if (!any) continue;
    for (int first = 0; first < depth; first += kChunk) {
      const storage* rows[kTileRows];
      for (int m = 0; m < kTileRows; m++) rows[m] = source[m] != nullptr ? source[m] + first : kZeros;
      tile.multiply_add(rows_of(rows, 1), panel + (int64_t{tap} * depth + first) * kTileColumns,
                        std::min(kChunk, depth - first));
    }
  }
}

// Runs finish(offset of the pixel's first column, column, width, tile, row) for each pixel and panel.
template <class Gather, class Finish>
void product_over_pixels(const ConvShape& s, const Gather& gather, int64_t pixels, int depth, int columns,
                         const real* panels, const Finish& finish) {
  constexpr int64_t kBlock = 64;
  const int64_t blocks = divide_up(pixels, kBlock), panel_count = divide_up(columns, kTileColumns);
#pragma omp parallel for collapse(2) schedule(static)
  for (int64_t block = 0; block < blocks; block++) {
    for (int64_t p = 0; p < panel_count; p++) {
      const real* panel = panels + p * kTileColumns * s.kh * s.kw * depth;
      const int column = static_cast<int>(p) * kTileColumns, width = std::min(kTileColumns, columns - column);
      for (int64_t index = block * kBlock; index < std::min(pixels, (block + 1) * kBlock); index += kTileRows) {
        const int count = static_cast<int>(std::min<int64_t>(kTileRows, pixels - index));
        Pixel at[kTileRows];
        for (int m = 0; m < count; m++) at[m] = gather.locate(index + m);
        Tile tile;
        tile_of_pixels(s, gather, at, count, depth, panel, tile);
        for (int m = 0; m < count; m++) finish(gather.offset(at[m]), column, width, tile, m);
      }
    }
  }
}

}  // namespace

size_t conv_weights_bytes(Stream, const ConvShape& s, ConvPass pass) {
  if (pass == ConvPass::BackwardWeights) return 0;
  const int columns = pass == ConvPass::Forward ? s.k : s.c, depth = pass == ConvPass::Forward ? s.c : s.k;
  return static_cast<size_t>(divide_up(columns, kTileColumns) * kTileColumns * s.kh * s.kw * depth) * sizeof(real);
}

void conv_prepare_weights(Stream, const ConvShape& s, ConvPass pass, const storage* w, const real* scale,
                          void* prepared) {
  const bool forward = pass == ConvPass::Forward;
  MPANET_CHECK(pass != ConvPass::BackwardWeights, "backward weights takes no weights");
  MPANET_CHECK(forward || scale == nullptr, "only forward weights are scaled");
  const int columns = forward ? s.k : s.c, depth = forward ? s.c : s.k;
  const int64_t taps = int64_t{s.kh} * s.kw, panels = divide_up(columns, kTileColumns);
  real* to = static_cast<real*>(prepared);
#pragma omp parallel for collapse(2) schedule(static)
  for (int64_t p = 0; p < panels; p++) {
    for (int64_t row = 0; row < taps * depth; row++) {
      const int64_t tap = row / depth, d = row % depth;
      for (int j = 0; j < kTileColumns; j++) {
        const int64_t column = p * kTileColumns + j, k = forward ? column : d, c = forward ? d : column;
        real value = 0;
        if (column < columns) value = load(w[(k * taps + tap) * s.c + c]) * (scale != nullptr ? scale[k] : real{1});
        to[(p * taps * depth + row) * kTileColumns + j] = value;
      }
    }
  }
}

size_t conv_workspace_bytes(Stream stream, const ConvShape&, ConvPass) {
  check_library(stream);
  return 0;
}

void conv_forward(Stream, const ConvShape& s, const storage* x, const storage*, const void* prepared,
                  const ConvEpilogue& epilogue, storage* y, void*) {
  MPANET_CHECK(s.oh() > 0 && s.ow() > 0, "expected an output, got {} x {}", s.oh(), s.ow());
  const auto finish = [&](int64_t offset, int column, int width, const Tile& tile, int row) {
    for (int j = 0; j < width; j++) {
      real value = tile.at(row, j);
      if (epilogue.shift != nullptr) value += epilogue.shift[column + j];
      if (epilogue.residual != nullptr) value += load(epilogue.residual[offset + column + j]);
      y[offset + column + j] = store<storage>(epilogue.relu ? rectify(value) : value);
    }
  };
  product_over_pixels(s, ForwardGather{s, x}, int64_t{s.n} * s.oh() * s.ow(), s.c, s.k,
                      static_cast<const real*>(prepared), finish);
}

void conv_backward_data(Stream, const ConvShape& s, const storage* dy, const storage*, const void* prepared,
                        storage* dx, Write write, void*, const GradEpilogue&) {
  const auto finish = [&](int64_t offset, int column, int width, const Tile& tile, int row) {
    for (int j = 0; j < width; j++) put(dx[offset + column + j], tile.at(row, j), write);
  };
  product_over_pixels(s, BackwardGather{s, dy}, int64_t{s.n} * s.h * s.w, s.k, s.c, static_cast<const real*>(prepared),
                      finish);
}

void conv_backward_weights(Stream, const ConvShape& s, const storage* x, const storage* dy, real* dw, Write write,
                           void*) {
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
  packed_product(s.k, int64_t{s.kh} * s.kw * s.c, int64_t{s.n} * s.oh() * s.ow(), dy, 1, s.k, pack, dw,
                 int64_t{s.kh} * s.kw * s.c, write);
}

}  // namespace mpanet::PRECISION::cpu
