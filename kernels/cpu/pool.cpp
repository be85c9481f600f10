// Max and mean pooling.
#include <algorithm>

#include "core/base/error.h"
#include "kernels/cpu/convert.h"
#include "kernels/cpu/rows.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {
namespace {

constexpr int kSlice = 64;

// The range begin..end of positions in a window that are inside 0..size-1, for a window that begins at `start`.
struct Window {
  int begin, end;
  Window(int start, int window, int size) : begin(std::max(0, -start)), end(std::min(window, size - start)) {}
};

}  // namespace

void max_pool_forward(Stream, const PoolShape& s, const storage* x, storage* y, uint8_t* winner) {
  MPANET_CHECK(s.size * s.size <= 256 && s.pad < s.size,
               "expected a window of at most 16 wider than its padding, got {}, {}", s.size, s.pad);
  const int oh = s.oh(), ow = s.ow();
#pragma omp parallel for collapse(2) schedule(static)
  for (int n = 0; n < s.n; n++) {
    for (int row = 0; row < oh; row++) {
      const int top = row * s.stride - s.pad;
      const Window vertical(top, s.size, s.h);
      for (int column = 0; column < ow; column++) {
        const int left = column * s.stride - s.pad;
        const Window horizontal(left, s.size, s.w);
        const int64_t out = ((int64_t{n} * oh + row) * ow + column) * s.c;
        for (int first = 0; first < s.c; first += kSlice) {
          const int width = std::min(kSlice, s.c - first);
          real best[kSlice];
          int32_t best_position[kSlice];
          Row<kSlice> buffer;
          for (int i = vertical.begin; i < vertical.end; i++) {
            for (int j = horizontal.begin; j < horizontal.end; j++) {
              const real* from = buffer.read(x + ((int64_t{n} * s.h + top + i) * s.w + left + j) * s.c + first, width);
              const bool start = i == vertical.begin && j == horizontal.begin;
              const int32_t position = i * s.size + j;
#pragma omp simd
              for (int c = 0; c < width; c++) {
                const real value = from[c];
                const bool better = start || value > best[c] || value != value;  // NaN is larger than all numbers
                best[c] = better ? value : best[c];
                best_position[c] = better ? position : best_position[c];
              }
            }
          }
          narrow(best, width, y + out + first);
          for (int c = 0; c < width; c++) winner[out + first + c] = static_cast<uint8_t>(best_position[c]);
        }
      }
    }
  }
}

void max_pool_backward(Stream, const PoolShape& s, const storage* dy, const uint8_t* winner, storage* dx, Write write) {
  const int oh = s.oh(), ow = s.ow();
  // Each input pixel gathers from the windows that cover it, in output order.
  const auto first_window = [&](int at) {
    return std::max(0, (at + s.pad - s.size) / s.stride + (at + s.pad >= s.size));
  };
#pragma omp parallel for collapse(2) schedule(static)
  for (int n = 0; n < s.n; n++) {
    for (int y = 0; y < s.h; y++) {
      const int row_end = std::min(oh, (y + s.pad) / s.stride + 1);
      for (int x = 0; x < s.w; x++) {
        const int column_end = std::min(ow, (x + s.pad) / s.stride + 1);
        storage* to = dx + ((int64_t{n} * s.h + y) * s.w + x) * s.c;
        for (int first = 0; first < s.c; first += kSlice) {
          const int width = std::min(kSlice, s.c - first);
          real sum[kSlice] = {};
          Row<kSlice> buffer;
          for (int row = first_window(y); row < row_end; row++) {
            for (int column = first_window(x); column < column_end; column++) {
              const int position = (y + s.pad - row * s.stride) * s.size + x + s.pad - column * s.stride;
              const int64_t out = ((int64_t{n} * oh + row) * ow + column) * s.c + first;
              const real* from = buffer.read(dy + out, width);
#pragma omp simd
              for (int c = 0; c < width; c++) {
                const real g = from[c];
                sum[c] += winner[out + c] == position ? g : real{0};
              }
            }
          }
          real* total = buffer.open(to + first, width, write);
          for (int c = 0; c < width; c++) put(total[c], sum[c], write);
          buffer.save(to + first, width);
        }
      }
    }
  }
}

void mean_pool_forward(Stream, const storage* x, int n, int hw, int c, real* y) {
  const int slices = static_cast<int>(divide_up(c, kSlice));
#pragma omp parallel for collapse(2) schedule(static) if (int64_t{n} * hw * c > kSerialCount)
  for (int i = 0; i < n; i++) {
    for (int slice = 0; slice < slices; slice++) {
      const int first = slice * kSlice, width = std::min(kSlice, c - first);
      const storage* from = x + int64_t{i} * hw * c + first;
      real sum[kSlice] = {};
      Row<kSlice> buffer;
      for (int64_t p = 0; p < hw; p++) {
        const real* row = buffer.read(from + p * c, width);
#pragma omp simd
        for (int j = 0; j < width; j++) sum[j] += row[j];
      }
      for (int j = 0; j < width; j++) y[int64_t{i} * c + first + j] = sum[j] / static_cast<real>(hw);
    }
  }
}

void mean_pool_backward(Stream, const real* dy, int n, int hw, int c, storage* dx, Write write) {
  const real inverse_hw = real{1} / static_cast<real>(hw);
#pragma omp parallel for collapse(2) schedule(static) if (int64_t{n} * hw * c > kSerialCount)
  for (int i = 0; i < n; i++)
    for (int p = 0; p < hw; p++)
      for (int first = 0; first < c; first += kRun) {
        const int width = std::min(kRun, c - first);
        const real* from = dy + int64_t{i} * c + first;
        storage* to = dx + (int64_t{i} * hw + p) * c + first;
        Row<kRun> buffer;
        real* row = buffer.open(to, width, write);
#pragma omp simd
        for (int j = 0; j < width; j++) put(row[j], from[j] * inverse_hw, write);
        buffer.save(to, width);
      }
}

}  // namespace mpanet::PRECISION::cpu
