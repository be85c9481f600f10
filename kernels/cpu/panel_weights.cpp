// The right factors of convolutions (panel_conv.cpp): weights packed in panels, and transformed for Winograd's
// algorithm.
#include <algorithm>

#include "core/base/error.h"
#include "kernels/cpu/conv_providers.h"
#include "kernels/cpu/panel_parts.h"
#include "kernels/cpu/tf32.h"

namespace mpanet::PRECISION::cpu::panels {
namespace {

using mpanet::cpu::kMaxTileColumns;

struct Weights {
  const ConvShape& s;
  ConvPass pass;
  const storage* w;
  const real* scale;
  bool rounds;  // to TF32

  // Writes `count` rows of a panel, a group at most, and `width` columns: to[r * columns + j] is the weight of tap
  // (y, x), source channel `channel` + r and target channel `column` + j.
  void copy(int y, int x, int channel, int count, int column, int width, float* to) const {
    const int columns = panel_kernels().columns;
    const auto at = [&](int k, int c) { return w + ((int64_t{k} * s.kh + y) * s.kw + x) * s.c + c; };
    float row[std::max(kGroup, kMaxTileColumns)];
    if (pass == ConvPass::BackwardData) {
      for (int r = 0; r < count; r++) {
        widen(at(channel + r, column), width, row);
        finish(row, width, nullptr);
        std::copy_n(row, width, to + r * columns);
      }
      return;
    }
    // In memory a filter's source channels are contiguous.
    for (int j = 0; j < width; j++) {
      widen(at(column + j, channel), count, row);
      finish(row, count, scale != nullptr ? scale + column + j : nullptr);
      for (int r = 0; r < count; r++) to[r * columns + j] = row[r];
    }
  }

 private:
  void finish(float* row, int count, const real* factor) const {
    if (rounds)
      for (int i = 0; i < count; i++) row[i] = rounded_to_tf32(row[i]);
    if (factor != nullptr)
      for (int i = 0; i < count; i++) row[i] *= *factor;
  }
};

// The rows of one group of a panel, for the product without Winograd's algorithm.
void pack_weights(const Part& p, const Weights& weights, int panel, int64_t group, float* to) {
  const int columns = panel_kernels().columns, width = std::min(columns, p.to_channels - panel * columns);
  std::fill_n(to, kGroup * columns, 0.0F);
  const int64_t end = std::min(p.depth(), (group + 1) * kGroup);
  for (int64_t at = group * kGroup; at < end;) {
    const int tap = static_cast<int>(at / p.channels), channel = static_cast<int>(at % p.channels);
    const int count = static_cast<int>(std::min<int64_t>(p.channels - channel, end - at));
    weights.copy(p.tap_y + tap / p.taps_x * p.tap_step, p.tap_x + tap % p.taps_x * p.tap_step, channel, count,
                 panel * columns, width, to + (at - group * kGroup) * columns);
    at += count;
  }
}

// G g G', with G = (1 0 0, 1/2 1/2 1/2, 1/2 -1/2 1/2, 0 0 1): the rows of one group in the panels of 16 products.
void pack_winograd_weights(const Part& p, const Weights& weights, int panel, int64_t group, float* to) {
  const int columns = panel_kernels().columns, width = std::min(columns, p.to_channels - panel * columns);
  const int channel = static_cast<int>(group) * kGroup;
  alignas(64) float g[9][kGroup * kMaxTileColumns] = {};
  for (int tap = 0; tap < 9; tap++) {
    const int y = p.delta > 0 ? tap / 3 : 2 - tap / 3, x = p.delta > 0 ? tap % 3 : 2 - tap % 3;
    weights.copy(y, x, channel, kGroup, panel * columns, width, g[tap]);
  }
  const int64_t next = int64_t{p.channels} * columns;  // floats between the panels of two products
  for (int first = 0; first < kGroup * columns; first += kGroup) {
    float rows[4][3][kGroup];
    for (int x = 0; x < 3; x++)
      for (int j = 0; j < kGroup; j++) {
        const float a = g[x][first + j], b = g[3 + x][first + j], c = g[6 + x][first + j];
        rows[0][x][j] = a, rows[1][x][j] = (a + b + c) / 2, rows[2][x][j] = (a - b + c) / 2, rows[3][x][j] = c;
      }
    for (int y = 0; y < 4; y++) {
      float* const out = to + 4 * y * next + first;
      for (int j = 0; j < kGroup; j++) {
        const float a = rows[y][0][j], b = rows[y][1][j], c = rows[y][2][j];
        out[j] = a, out[next + j] = (a + b + c) / 2;
        out[2 * next + j] = (a - b + c) / 2, out[3 * next + j] = c;
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
