// The right factors of convolutions (panel_conv.cpp): weights in panels, for Winograd's algorithm transformed.
#include <algorithm>

#include "core/base/error.h"
#include "kernels/cpu/conv_providers.h"
#include "kernels/cpu/panel_parts.h"
#include "kernels/cpu/tf32.h"

namespace mpanet::PRECISION::cpu::panels {
namespace {

struct Weights {
  const ConvShape& s;
  ConvPass pass;
  const storage* w;
  const real* scale;
  bool rounds;  // to TF32

  // The weight of a tap (y, x), a source channel and a target channel.
  float at(int y, int x, int channel, int column) const {
    const int k = pass == ConvPass::Forward ? column : channel, c = pass == ConvPass::Forward ? channel : column;
    float value = static_cast<float>(load(w[((int64_t{k} * s.kh + y) * s.kw + x) * s.c + c]));
    if (rounds) value = rounded_to_tf32(value);
    return scale != nullptr ? value * scale[k] : value;
  }
};

// Rows of one group of a panel, for the direct product.
void pack_weights(const Part& p, const Weights& weights, int panel, int64_t group, float* to) {
  const int columns = panel_kernels().columns, width = std::min(columns, p.to_channels - panel * columns);
  std::fill_n(to, kGroup * columns, 0.0F);
  for (int j = 0; j < width; j++)
    for (int r = 0; r < std::min<int64_t>(kGroup, p.depth() - group * kGroup); r++) {
      const int64_t at = group * kGroup + r;
      const int tap = static_cast<int>(at / p.channels), channel = static_cast<int>(at % p.channels);
      to[r * columns + j] = weights.at(p.tap_y + tap / p.taps_x * p.tap_step, p.tap_x + tap % p.taps_x * p.tap_step,
                                       channel, panel * columns + j);
    }
}

// G g G', with G = (1 0 0, 1/2 1/2 1/2, 1/2 -1/2 1/2, 0 0 1): the rows of one group of 16 panels.
void pack_winograd_weights(const Part& p, const Weights& weights, int panel, int64_t group, float* to) {
  const int columns = panel_kernels().columns, width = std::min(columns, p.to_channels - panel * columns);
  for (int j = 0; j < columns; j++) {
    float g[9][kGroup] = {}, rows[4][3][kGroup];
    for (int tap = 0; tap < 9 && j < width; tap++) {
      const int y = p.delta > 0 ? tap / 3 : 2 - tap / 3, x = p.delta > 0 ? tap % 3 : 2 - tap % 3;
      for (int r = 0; r < kGroup; r++)
        g[tap][r] = weights.at(y, x, static_cast<int>(group) * kGroup + r, panel * columns + j);
    }
    for (int x = 0; x < 3; x++)
      for (int r = 0; r < kGroup; r++) {
        const float a = g[x][r], b = g[3 + x][r], c = g[6 + x][r];
        rows[0][x][r] = a, rows[1][x][r] = (a + b + c) / 2, rows[2][x][r] = (a - b + c) / 2, rows[3][x][r] = c;
      }
    for (int y = 0; y < 4; y++) {
      float* const out = to + int64_t{4} * y * p.channels * columns + j;
      const int64_t next = int64_t{p.channels} * columns;
      for (int r = 0; r < kGroup; r++) {
        const float a = rows[y][0][r], b = rows[y][1][r], c = rows[y][2][r];
        out[r * columns] = a, out[next + r * columns] = (a + b + c) / 2;
        out[2 * next + r * columns] = (a - b + c) / 2, out[3 * next + r * columns] = c;
      }
    }
  }
}

}  // namespace

size_t conv_weights_bytes(Stream, const ConvShape& s, ConvPass pass) {
  int64_t floats = 0;
  for (int i = 0; i < part_count(s, pass); i++) floats += part_of(s, pass, i).weight_floats();
  return static_cast<size_t>(floats) * sizeof(float);
}

void conv_prepare_weights(Stream stream, const ConvShape& s, ConvPass pass, const storage* w, const real* scale,
                          void* prepared) {
  MPANET_CHECK(pass != ConvPass::BackwardWeights, "backward weights takes no weights");
  MPANET_CHECK(pass == ConvPass::Forward || scale == nullptr, "only forward weights are scaled");
  float* to = static_cast<float*>(prepared);
  const Weights weights{s, pass, w, scale, rounds_operands<storage>(stream)};
  const int columns = panel_kernels().columns;
  for (int i = 0; i < part_count(s, pass); i++) {
    const Part p = part_of(s, pass, i);
    const int64_t panels = divide_up(p.to_channels, columns), groups = p.winograd ? p.channels / kGroup : p.groups();
    const int64_t panel_rows = (p.winograd ? 16 : 1) * groups * kGroup;
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t panel = 0; panel < panels; panel++)
      for (int64_t group = 0; group < groups; group++) {
        float* const at = to + (panel * panel_rows + group * kGroup) * columns;
        p.winograd ? pack_winograd_weights(p, weights, static_cast<int>(panel), group, at)
                   : pack_weights(p, weights, static_cast<int>(panel), group, at);
      }
    to += p.weight_floats();
  }
}

}  // namespace mpanet::PRECISION::cpu::panels
