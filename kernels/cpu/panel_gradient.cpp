// The gradient of a convolution's weights as products of packed panels (panel_kernels.h) over the pixels of y:
//
//   dw (k, taps * c) = dy' (k, pixels) * x's pixels under each tap (pixels, taps * c)
//
// 3x3 filters of stride 1 use the gradient of Winograd's F(2x2, 3x3): with U the transformed weights, dU = (A dy A')
// (B' d B) for each of the 16 products, summed over tiles of 2x2 pixels of dy and 4x4 of x, and dw = G' dU G.
//
// A task has a range of the pixels, of k and of the columns; its sums stay in a thread's workspace. The shape alone
// determines the ranges. Every range of pixels is summed in order, and the ranges are added in order. So the bits of a
// result do not depend on the number of threads, and all instruction sets with FMA give the same bits.
#include <omp.h>

#include <algorithm>

#include "kernels/cpu/conv_providers.h"
#include "kernels/cpu/panel_parts.h"
#include "kernels/cpu/tf32.h"

namespace mpanet::PRECISION::cpu::panels {
namespace {

using mpanet::cpu::kMaxTileColumns;

constexpr int kBlock = 256, kWinogradBlock = 64;  // pixels, or tiles of them, that are packed at a time
constexpr int kMaxRows = 512, kMaxColumns = 256;  // of a task
constexpr int kMaxWinogradRows = 128, kMaxWinogradColumns = 128;
// If k and the columns give fewer than kMinTasks tasks, the pixels are split too, into ranges of kMinBlocks or more
// blocks.
constexpr int kMinTasks = 16, kMinBlocks = 2;
// Floats behind each tile and panel: at a distance of a power of two they would use the same cache sets.
constexpr int kSkew = 16;
constexpr int kTaps = 9, kProducts = 16;

// One of the two factors, dy or x: its ranges and their tiles or panels.
struct Side {
  int64_t size;          // k, or the columns, of the whole factor
  int64_t range, count;  // size of a task's range; number of ranges
  int width;             // of a tile or panel
  ptrdiff_t step;        // floats between two tiles or panels of a packed block
  int64_t pieces() const { return divide_up(range, width); }
  int64_t size_of(int64_t index) const { return std::min(range, size - index * range); }
};

Side side_of(int64_t size, int64_t max, int width, ptrdiff_t step) {
  // Winograd's transforms read whole groups, so a range is a multiple of them.
  const int64_t range = divide_up(divide_up(size, divide_up(size, max)), kMaxTileColumns) * kMaxTileColumns;
  return {size, range, divide_up(size, range), width, step};
}

struct Plan {
  Part p;
  int products, block;
  Side rows, columns;  // k; taps * c, or c
  int64_t depth;       // pixels or tiles
  int64_t split_depth, splits;
  int64_t left, right, sums;  // floats of a thread's workspace
  int64_t floats() const { return left + right + sums; }
  int64_t tasks() const { return splits * rows.count * columns.count; }
  int64_t down() const { return divide_up(p.rows, 2); }
  int64_t across() const { return divide_up(p.columns, 2); }
};

Plan plan_of(const ConvShape& s) {
  const auto& k = panel_kernels();
  Plan plan{};
  plan.p = part_of(s, ConvPass::Forward, 0);
  const bool winograd = plan.p.winograd = plan.p.winograd && s.k % kGroup == 0;
  plan.products = winograd ? kProducts : 1;
  plan.block = winograd ? kWinogradBlock : kBlock;
  plan.rows =
      side_of(s.k, winograd ? kMaxWinogradRows : kMaxRows, k.rows, ptrdiff_t{plan.block} * k.row_stride + kSkew);
  plan.columns = side_of(winograd ? s.c : plan.p.depth(), winograd ? kMaxWinogradColumns : kMaxColumns, k.columns,
                         ptrdiff_t{plan.block} * k.columns + kSkew);
  plan.depth = winograd ? plan.p.pictures * plan.down() * plan.across() : plan.p.pixels();
  const int64_t blocks = divide_up(plan.depth, plan.block);
  const int64_t splits =
      std::clamp<int64_t>(blocks / kMinBlocks, 1, divide_up(kMinTasks, plan.rows.count * plan.columns.count));
  plan.split_depth = divide_up(blocks, splits) * plan.block;
  plan.splits = divide_up(plan.depth, plan.split_depth);
  plan.left = plan.products * plan.rows.pieces() * plan.rows.step;
  plan.right = plan.products * plan.columns.pieces() * plan.columns.step;
  plan.sums = plan.products * plan.rows.pieces() * plan.columns.pieces() * k.rows * k.columns;
  return plan;
}

struct Task {
  const Plan& plan;
  const storage *x, *dy;
  int64_t row_range, column_range;
  float *left, *right, *sums;  // of this thread

  int64_t row() const { return row_range * plan.rows.range; }
  int64_t column() const { return column_range * plan.columns.range; }
  int64_t rows() const { return plan.rows.size_of(row_range); }
  int64_t columns() const { return plan.columns.size_of(column_range); }
  int64_t tiles() const { return divide_up(rows(), plan.rows.width); }
  int64_t panels() const { return divide_up(columns(), plan.columns.width); }
  float* sum(int64_t product, int64_t tile, int64_t panel) const {
    return sums + ((product * tiles() + tile) * panels() + panel) * plan.rows.width * plan.columns.width;
  }

  void run(int64_t first, int64_t end, real* to, Write write) const;
  const float* patch(const Pixel& pixel, float* buffer) const;
  void fetch(int64_t first, int64_t end) const;
  void pack_pixels(int64_t first, int count) const;
  void pack_winograd(int64_t first, int count) const;
  void multiply(int count, bool add, int64_t next, int64_t end) const;
  void store(real* to, Write write) const;
  void store_winograd(real* to, Write write) const;
};

// The elements of x under the taps of a pixel of y, this task's columns of them: in `buffer`, or x's own memory if they
// are contiguous floats there.
const float* Task::patch(const Pixel& pixel, float* buffer) const {
  const storage* at = plan.p.taps_y * plan.p.taps_x == 1 ? source_at(plan.p, pixel, pixel.y, pixel.x) : nullptr;
  if (at != nullptr) return widened(at + column(), columns(), buffer);
  copy_row(plan.p, pixel, column(), columns(), buffer);
  return buffer;
}

void Task::pack_pixels(int64_t first, int count) const {
  const auto& k = panel_kernels();
  const Part& p = plan.p;
  for (int i = 0; i < count; i++) {
    const Pixel pixel = locate(p, x, first + i);
    float buffer[std::max(kMaxRows, kMaxColumns)];
    const float* gradient = widened(dy + pixel.target + row(), rows(), buffer);
    k.spread_rows(gradient, static_cast<int>(rows()), plan.rows.step, left + i * k.row_stride);
    k.spread_columns(patch(pixel, buffer), static_cast<int>(columns()), plan.columns.step, right + i * k.columns);
  }
}

void Task::pack_winograd(int64_t first, int count) const {
  const auto& k = panel_kernels();
  const Part& p = plan.p;
  const ptrdiff_t left_step = plan.rows.pieces() * plan.rows.step,
                  right_step = plan.columns.pieces() * plan.columns.step;
  for (int i = 0; i < count; i++) {
    const int64_t index = first + i, n = index / plan.across() / plan.down();
    const int tile_x = static_cast<int>(index % plan.across()) * 2;
    const int tile_y = static_cast<int>(index / plan.across() % plan.down()) * 2;
    const Pixel picture{x + n * p.height * p.width * p.channels, 0, 0, 0};
    float buffer[16][buffer_floats(std::max(kMaxWinogradRows, kMaxWinogradColumns))];
    const float* from[16] = {};
    for (int t = 0; t < 16; t++) {
      const storage* at = source_at(p, picture, tile_y + p.first_y + t / 4, tile_x + p.first_x + t % 4);
      if (at != nullptr) from[t] = widened(at + column(), columns(), buffer[t]);
    }
    k.winograd_columns(from, columns() / kGroup, right_step, plan.columns.step, right + i * k.columns);
    const float* gradient[4] = {};
    for (int t = 0; t < 4; t++) {
      const int yy = tile_y + t / 2, xx = tile_x + t % 2;
      if (yy >= p.rows || xx >= p.columns) continue;
      const storage* at = dy + ((n * p.rows + yy) * p.columns + xx) * p.to_channels + row();
      gradient[t] = widened(at, rows(), buffer[t]);
    }
    float transformed[kProducts * kMaxWinogradRows];
    k.winograd_gradient(gradient, rows() / kGroup, transformed);
    for (int product = 0; product < kProducts; product++)
      k.spread_rows(transformed + product * rows(), static_cast<int>(rows()), plan.rows.step,
                    left + product * left_step + i * k.row_stride);
  }
}

// Prefetches dy's pixels first..end, and x's for 1x1 filters of stride 1. Other filters find most of x in the cache.
void Task::fetch(int64_t first, int64_t end) const {
  constexpr int kLine = 64 / sizeof(storage);
  const Part& p = plan.p;
  for (int64_t i = first; i < end; i++) {
    const storage* const gradient = dy + i * p.to_channels + row();
    for (int64_t at = 0; at < rows(); at += kLine) __builtin_prefetch(gradient + at, 0, 2);
    if (p.taps_y * p.taps_x > 1 || p.step > 1) continue;
    const storage* const source = x + i * p.channels + column();
    for (int64_t at = 0; at < columns(); at += kLine) __builtin_prefetch(source + at, 0, 2);
  }
}

void Task::multiply(int count, bool add, int64_t next, int64_t end) const {
  const auto& k = panel_kernels();
  // next..end are the pixels of the next block. A part of them is prefetched before each tile.
  const int64_t portion = divide_up(std::max<int64_t>(0, end - next), tiles() * panels());
  for (int product = 0; product < plan.products; product++) {
    const float* const tiles_of = left + product * plan.rows.pieces() * plan.rows.step;
    const float* const panels_of = right + product * plan.columns.pieces() * plan.columns.step;
    for (int64_t tile = 0; tile < tiles(); tile++)
      for (int64_t panel = 0; panel < panels(); panel++) {
        if (!plan.p.winograd) {
          fetch(next, std::min(end, next + portion));
          next += portion;
        }
        k.multiply_transposed(tiles_of + tile * plan.rows.step, panels_of + panel * plan.columns.step, count,
                              static_cast<int>(rows() - tile * k.rows), add, sum(product, tile, panel), k.columns);
      }
  }
}

void Task::store(real* to, Write write) const {
  const auto& k = panel_kernels();
  for (int64_t m = 0; m < rows(); m++)
    for (int64_t panel = 0; panel < panels(); panel++) {
      const float* const from = sum(0, m / k.rows, panel) + m % k.rows * k.columns;
      real* const at = to + (row() + m) * plan.columns.size + column() + panel * k.columns;
      const int64_t width = std::min<int64_t>(k.columns, columns() - panel * k.columns);
      for (int64_t j = 0; j < width; j++) put(at[j], from[j], write);
    }
}

// G' U G, with G = (1 0 0, 1/2 1/2 1/2, 1/2 -1/2 1/2, 0 0 1).
void Task::store_winograd(real* to, Write write) const {
  const auto& k = panel_kernels();
  const int64_t channels = plan.columns.size;
  for (int64_t m = 0; m < rows(); m++)
    for (int64_t panel = 0; panel < panels(); panel++) {
      const int width = static_cast<int>(std::min<int64_t>(k.columns, columns() - panel * k.columns));
      float half[3][4][kMaxTileColumns];
      for (int v = 0; v < 4; v++) {
        const float* from[4];
        for (int u = 0; u < 4; u++) from[u] = sum(4 * u + v, m / k.rows, panel) + m % k.rows * k.columns;
        for (int j = 0; j < width; j++) {
          const float both = from[1][j] + from[2][j];
          half[0][v][j] = from[0][j] + both / 2;
          half[1][v][j] = (from[1][j] - from[2][j]) / 2;
          half[2][v][j] = both / 2 + from[3][j];
        }
      }
      real* const at = to + (row() + m) * kTaps * channels + column() + panel * k.columns;
      for (int i = 0; i < 3; i++)
        for (int j = 0; j < width; j++) {
          const float both = half[i][1][j] + half[i][2][j];
          put(at[(3 * i) * channels + j], half[i][0][j] + both / 2, write);
          put(at[(3 * i + 1) * channels + j], (half[i][1][j] - half[i][2][j]) / 2, write);
          put(at[(3 * i + 2) * channels + j], both / 2 + half[i][3][j], write);
        }
    }
}

void Task::run(int64_t first, int64_t end, real* to, Write write) const {
  for (int64_t begin = first; begin < end; begin += plan.block) {
    const int count = static_cast<int>(std::min<int64_t>(plan.block, end - begin));
    plan.p.winograd ? pack_winograd(begin, count) : pack_pixels(begin, count);
    const int64_t next = begin + plan.block;
    multiply(count, begin > first, next, std::min(end, next + plan.block));
  }
  plan.p.winograd ? store_winograd(to, write) : store(to, write);
}

// dw += each of the partial sums, in order.
void add_partial(const real* partial, int64_t count, int64_t weights, real* dw) {
  constexpr int64_t kRun = 1024;
#pragma omp parallel for schedule(static)
  for (int64_t first = 0; first < weights; first += kRun)
    for (int64_t n = 0; n < count; n++)
      for (int64_t i = first; i < std::min(weights, first + kRun); i++) dw[i] += partial[n * weights + i];
}

}  // namespace

size_t conv_backward_weights_bytes(Stream stream, const ConvShape& s) {
  const Plan plan = plan_of(s);
  const int64_t partial = divide_up((plan.splits - 1) * s.weight_count(), kGroup) * kGroup;
  return rounded_bytes<storage>(stream, s.input_count(), s.output_count()) +
         static_cast<size_t>(partial + plan.floats() * omp_get_max_threads()) * sizeof(float);
}

void conv_backward_weights(Stream stream, const ConvShape& s, const storage* x, const storage* dy, real* dw,
                           Write write, void* workspace) {
  x = operand(stream, x, s.input_count(), workspace);
  dy = operand(stream, dy, s.output_count(), workspace);
  const Plan plan = plan_of(s);
  const int64_t weights = s.weight_count(), columns = plan.columns.count, ranges = plan.rows.count * columns;
  real* const partial = static_cast<real*>(workspace);
  float* const own = partial + divide_up((plan.splits - 1) * weights, kGroup) * kGroup;
#pragma omp parallel
  {
    float* const left = own + omp_get_thread_num() * plan.floats();
#pragma omp for schedule(dynamic)
    for (int64_t index = 0; index < plan.tasks(); index++) {
      const int64_t split = index / ranges, range = index % ranges;
      const Task task{
          plan, x, dy, range / columns, range % columns, left, left + plan.left, left + plan.left + plan.right};
      const int64_t first = split * plan.split_depth, end = std::min(plan.depth, first + plan.split_depth);
      split == 0 ? task.run(first, end, dw, write) : task.run(first, end, partial + (split - 1) * weights, Write::Set);
    }
  }
  if (plan.splits > 1) add_partial(partial, plan.splits - 1, weights, dw);
}

}  // namespace mpanet::PRECISION::cpu::panels
