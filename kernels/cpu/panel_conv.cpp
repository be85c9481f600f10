// Convolution as products of packed panels (panel_kernels.h). Both passes are products over pixels:
//
//   forward         y (pixels, k)    = x's pixels under each tap (c)    * weights (tap, c, k)
//   backward data   dx (pixels, c)   = dy's pixels above each tap (k)   * weights (tap, k, c)
//
// The left factor is packed a block of pixels at a time and never unfolded in memory. 3x3 filters of stride 1 use
// Winograd's F(2x2, 3x3), which needs 16 multiplications where the definition has 36. The shape and the instruction set
// determine the blocks, so the bits of a result do not depend on the number of threads.
#include <omp.h>

#include <algorithm>

#include "kernels/cpu/conv_providers.h"
#include "kernels/cpu/panel_parts.h"
#include "kernels/cpu/tf32.h"

namespace mpanet::PRECISION::cpu::panels {
namespace {

using mpanet::cpu::kMaxTileColumns;

// A block has kBlockPixels pixels, rounded up to whole tiles of the product. With Winograd's algorithm it has
// kMinWinogradRows to kMaxWinogradRows tiles of 4x4 pixels: within these limits so many that the transformed pixels,
// kWinogradFloats, stay in the L2 cache.
constexpr int kBlockPixels = 56;
constexpr int kMinWinogradRows = 28, kMaxWinogradRows = 112;
constexpr int64_t kWinogradFloats = 128 << 10;
// Floats between the left factors of two products: at a distance of a power of two they would use the same cache sets.
constexpr int kSkew = kGroup;
constexpr int kMinTasks = 16;                      // with fewer blocks of pixels the columns are split too
constexpr int kSumColumns = 512;                   // columns of a task, at most, if the depth has several blocks
constexpr int64_t kCachedWeightFloats = 64 << 10;  // weights that stay in the L2 cache for all tiles of a block

// A task computes one block of pixels times one chunk of the panels of the right factor.
struct Blocks {
  int tiles;           // tiles of a block
  int64_t count;       // number of blocks
  int panels, chunk;   // panels of the right factor, and of a chunk
  int64_t left, sums;  // floats of a thread's workspace: left factor, sums
  int64_t floats() const { return left + sums; }
  int64_t chunks() const { return divide_up(panels, chunk); }
};

Blocks blocks_of(const Part& p) {
  const auto& k = panel_kernels();
  Blocks b{};
  b.panels = static_cast<int>(divide_up(p.to_channels, k.columns));
  int64_t tiles;  // of all pixels
  if (p.winograd) {
    b.tiles =
        static_cast<int>(std::clamp<int64_t>(kWinogradFloats / (int64_t{16} * k.rows * p.channels),
                                             divide_up(kMinWinogradRows, k.rows), divide_up(kMaxWinogradRows, k.rows)));
    tiles = divide_up(int64_t{p.pictures} * divide_up(p.rows, 2) * divide_up(p.columns, 2), k.rows);
  } else {
    b.tiles = static_cast<int>(divide_up(kBlockPixels, k.rows));
    tiles = divide_up(p.pixels(), k.rows);
  }
  b.tiles = static_cast<int>(std::min<int64_t>(b.tiles, tiles));
  b.count = divide_up(tiles, b.tiles);
  const bool split = !p.winograd && p.groups() > k.depth_groups;
  int64_t chunks = std::min<int64_t>(b.panels, divide_up(kMinTasks, b.count));
  if (split) chunks = std::max(chunks, divide_up(p.to_channels, kSumColumns));
  b.chunk = static_cast<int>(divide_up(b.panels, chunks));
  const int64_t tile_rows = int64_t{b.tiles} * k.rows;
  b.left = p.winograd ? 16 * (tile_rows * p.channels + kSkew)
                      : tile_rows * kGroup * std::min<int64_t>(p.groups(), k.depth_groups);
  b.sums = (p.winograd ? 16 * tile_rows : split ? tile_rows * b.chunk : k.rows) * k.columns;
  return b;
}

// Prefetches the source pixels of the next block, at..end: `portion` elements at each call.
struct Ahead {
  const storage* at = nullptr;
  const storage* end = nullptr;
  int64_t portion = 0;
  void fetch() {
    constexpr int64_t kLine = 64 / sizeof(storage);
    for (const storage* stop = std::min(at + portion, end); at < stop; at += kLine) __builtin_prefetch(at, 0, 2);
  }
};

// ---- Finished sums. offsets[m]: of the first channel of the pixel of y that row m of the sums is.

// y = relu(sum + shift + residual), without what is null or false. The residual may be y.
template <class T>
struct Finishing {
  const float* shift = nullptr;
  const T* residual = nullptr;
  bool relu = false;
};

// The overloads for float are those of f32; bf16 and f16 do not use them.
[[maybe_unused]] inline void finish_tile(const float* sums, int count, int width, const int64_t* offsets,
                                         int64_t column, const Finishing<float>& finish, float* y) {
  panel_kernels().store(sums, count, width, offsets, column, {finish.shift, finish.residual, finish.relu}, y);
}

// Rows with an offset below 0 are outside of y, and are not stored.
template <class T>
void finish_tile(const float* sums, int count, int width, const int64_t* offsets, int64_t column,
                 const Finishing<T>& finish, T* y) {
  const int columns = panel_kernels().columns;
  for (int m = 0; m < count; m++) {
    if (offsets[m] < 0) continue;
    float row[kMaxTileColumns];
    std::copy_n(sums + m * columns, width, row);
    const int64_t at = offsets[m] + column;
    if (finish.shift != nullptr)
      for (int j = 0; j < width; j++) row[j] += finish.shift[column + j];
    if (finish.residual != nullptr) {
      float buffer[kMaxTileColumns];
      const float* residual = widened(finish.residual + at, width, buffer);
      for (int j = 0; j < width; j++) row[j] += residual[j];
    }
    if (finish.relu)
      for (int j = 0; j < width; j++) row[j] = rectify(row[j]);
    narrow(row, width, y + at);
  }
}

[[maybe_unused]] inline void finish_winograd(const float* sums, ptrdiff_t product_step, int count, int width,
                                             const int64_t* offsets, int64_t column, const Finishing<float>& finish,
                                             float* y) {
  panel_kernels().winograd_output(sums, product_step, count, width, offsets, column,
                                  {finish.shift, finish.residual, finish.relu}, y);
}

template <class T>
void finish_winograd(const float* sums, ptrdiff_t product_step, int count, int width, const int64_t* offsets,
                     int64_t column, const Finishing<T>& finish, T* y) {
  float outputs[4 * kMaxTileRows * kMaxTileColumns];
  int64_t own[4 * kMaxTileRows];
  for (int i = 0; i < 4 * count; i++) own[i] = int64_t{i} * panel_kernels().columns;
  panel_kernels().winograd_output(sums, product_step, count, width, own, 0, {}, outputs);
  finish_tile(outputs, 4 * count, width, offsets, column, finish, y);
}

struct Task {
  const Part& p;
  const Blocks& b;
  const storage* source;
  const float* right;
  Finishing<storage> finish;
  storage* target;
  float *left, *sums;  // of this thread

  int width(int panel) const {
    const int columns = panel_kernels().columns;
    return std::min(columns, p.to_channels - panel * columns);
  }
  int panels_end(int chunk) const { return std::min(b.panels, (chunk + 1) * b.chunk); }
  // Prefetches what finish_tile() will access, while the sums are computed.
  void fetch_target(const int64_t* offsets, int count, int panel) const;
  Ahead ahead_of(int64_t block, int chunk) const;
  void direct(int64_t block, int chunk) const;
  void winograd(int64_t block, int chunk) const;
};

void Task::fetch_target(const int64_t* offsets, int count, int panel) const {
  constexpr int kLine = 64 / sizeof(storage);
  const int64_t column = int64_t{panel} * panel_kernels().columns;
  for (int m = 0; m < count; m++)
    for (int64_t at = offsets[m] + column; at < offsets[m] + column + width(panel); at += kLine) {
      __builtin_prefetch(target + at, 1);
      if (finish.residual != nullptr) __builtin_prefetch(finish.residual + at);
    }
}

// Only 1x1 filters of stride 1 prefetch: their blocks read a range of the source. Other filters find most pixels in the
// cache, since the previous block has read them.
Ahead Task::ahead_of(int64_t block, int chunk) const {
  if (p.taps_y * p.taps_x != 1 || p.step != 1) return {};
  const int64_t size = int64_t{b.tiles} * panel_kernels().rows * p.channels;
  const int64_t products =
      b.tiles * (panels_end(chunk) - chunk * b.chunk) * divide_up(p.groups(), panel_kernels().depth_groups);
  const storage* from = source + (block + 1) * size;
  return {from, std::min(from + size, source + p.pixels() * p.channels), divide_up(size, products)};
}

void Task::direct(int64_t block, int chunk) const {
  const auto& k = panel_kernels();
  const int64_t first = block * b.tiles * k.rows, groups = p.groups();
  const int count = static_cast<int>(std::min<int64_t>(int64_t{b.tiles} * k.rows, p.pixels() - first));
  const int tiles = static_cast<int>(divide_up(count, k.rows));
  Pixel pixels[kBlockPixels + kMaxTileRows];
  int64_t offsets[kBlockPixels + kMaxTileRows];
  for (int m = 0; m < count; m++) {
    pixels[m] = locate(p, source, first + m);
    offsets[m] = pixels[m].target;
  }
  Ahead ahead = ahead_of(block, chunk);
  int64_t begin = 0;
  do {
    const int64_t end = std::min<int64_t>(begin + k.depth_groups, groups);
    const int64_t tile_floats = (end - begin) * kGroup * k.rows;
    for (int t = 0; t < tiles; t++)
      pack_tile(p, pixels + t * k.rows, std::min(k.rows, count - t * k.rows), begin, end, left + t * tile_floats);
    const auto tile = [&](int panel, int t) {
      const float* weights = right + (panel * groups + begin) * kGroup * k.columns;
      const bool split = groups > k.depth_groups;
      const int tile_count = std::min(k.rows, count - t * k.rows);
      ahead.fetch();
      if (end == groups) fetch_target(offsets + t * k.rows, tile_count, panel);
      float* sum = sums + (split ? (panel - chunk * b.chunk) * b.tiles + t : 0) * k.rows * k.columns;
      k.multiply(left + t * tile_floats, weights, end - begin, begin > 0, sum);
      if (end == groups)
        finish_tile(sum, tile_count, width(panel), offsets + t * k.rows, int64_t{panel} * k.columns, finish, target);
    };
    if ((end - begin) * kGroup * b.chunk * k.columns <= kCachedWeightFloats)
      for (int t = 0; t < tiles; t++)
        for (int panel = chunk * b.chunk; panel < panels_end(chunk); panel++) tile(panel, t);
    else
      for (int panel = chunk * b.chunk; panel < panels_end(chunk); panel++)
        for (int t = 0; t < tiles; t++) tile(panel, t);
    begin = end;
  } while (begin < groups);
}

void Task::winograd(int64_t block, int chunk) const {
  const auto& k = panel_kernels();
  const int down = static_cast<int>(divide_up(p.rows, 2)), across = static_cast<int>(divide_up(p.columns, 2));
  const int64_t all = int64_t{p.pictures} * down * across, first = block * b.tiles * k.rows;
  const int count = static_cast<int>(std::min<int64_t>(int64_t{b.tiles} * k.rows, all - first));
  const int tiles = static_cast<int>(divide_up(count, k.rows));
  const int64_t groups = p.channels / kGroup, tile_floats = int64_t{p.channels} * k.rows;
  const int64_t left_step = b.tiles * tile_floats + kSkew, sum_step = int64_t{b.tiles} * k.rows * k.columns;
  int64_t offsets[(kMaxWinogradRows + kMaxTileRows) * 4];
  const int above = p.first_y - (p.delta < 0 ? 2 : 0), before = p.first_x - (p.delta < 0 ? 2 : 0);
  for (int m = 0; m < tiles * k.rows; m++) {
    const storage* pixels[16] = {};
    if (m < count) {
      const int64_t index = first + m;
      const int x = static_cast<int>(index % across) * 2, y = static_cast<int>(index / across % down) * 2;
      const int64_t n = index / across / down;
      const Pixel pixel{source + n * p.height * p.width * p.channels, 0, 0, 0};
      for (int i = 0; i < 16; i++) pixels[i] = source_at(p, pixel, y + above + i / 4, x + before + i % 4);
      for (int i = 0; i < 4; i++) {
        const bool inside = y + i / 2 < p.rows && x + i % 2 < p.columns;
        offsets[4 * m + i] =
            inside ? ((n * p.to_height + y + i / 2) * p.to_width + x + i % 2) * p.to_channels : int64_t{-1};
      }
    }
    float* const to = left + m / k.rows * tile_floats + m % k.rows * kGroup;
    for (int64_t g = 0; g < groups; g += kDepthGroups) {
      float buffer[16][buffer_floats(kDepthGroups * kGroup)];
      const float* from[16] = {};
      const int64_t run = std::min<int64_t>(kDepthGroups, groups - g);
      for (int i = 0; i < 16; i++)
        if (pixels[i] != nullptr) from[i] = widened(pixels[i] + g * kGroup, run * kGroup, buffer[i]);
      k.winograd_input(from, run, left_step, to + g * kGroup * k.rows);
    }
  }
  for (int panel = chunk * b.chunk; panel < panels_end(chunk); panel++) {
    for (int product = 0; product < 16; product++) {
      const float* weights = right + (int64_t{panel} * 16 + product) * p.channels * k.columns;
      for (int t = 0; t < tiles; t++)
        k.multiply(left + product * left_step + t * tile_floats, weights, groups, false,
                   sums + product * sum_step + t * k.rows * k.columns);
    }
    for (int t = 0; t < tiles; t++)
      finish_winograd(sums + t * k.rows * k.columns, sum_step, std::min(k.rows, count - t * k.rows), width(panel),
                      offsets + 4 * t * k.rows, int64_t{panel} * k.columns, finish, target);
  }
}

void run(const Part& p, const storage* source, const float* right, const Finishing<storage>& finish, storage* target,
         void* workspace) {
  if (p.pixels() == 0) return;  // the picture is smaller than the stride
  const Blocks b = blocks_of(p);
#pragma omp parallel
  {
    float* left = static_cast<float*>(workspace) + omp_get_thread_num() * b.floats();
    const Task task{p, b, source, right, finish, target, left, left + b.left};
    // A thread takes neighbouring blocks, because ahead_of() prefetches for the next block.
#pragma omp for collapse(2) schedule(dynamic, 4)
    for (int64_t block = 0; block < b.count; block++)
      for (int64_t chunk = 0; chunk < b.chunks(); chunk++)
        p.winograd ? task.winograd(block, static_cast<int>(chunk)) : task.direct(block, static_cast<int>(chunk));
  }
}

}  // namespace

size_t conv_workspace_bytes(Stream stream, const ConvShape& s, ConvPass pass) {
  if (pass == ConvPass::BackwardWeights) return conv_backward_weights_bytes(stream, s);
  int64_t floats = 0;
  for (int i = 0; i < part_count(s, pass); i++) {
    const Part p = part_of(s, pass, i);
    if (p.pixels() > 0) floats = std::max(floats, blocks_of(p).floats());
  }
  const int64_t source = pass == ConvPass::Forward ? s.input_count() : s.output_count();
  return rounded_bytes<storage>(stream, source) + static_cast<size_t>(floats) * sizeof(float) * omp_get_max_threads();
}

void conv_forward(Stream stream, const ConvShape& s, const storage* x, const storage*, const void* prepared,
                  const ConvEpilogue& epilogue, storage* y, void* workspace) {
  x = operand(stream, x, s.input_count(), workspace);
  const Finishing<storage> finish{epilogue.shift, epilogue.residual, epilogue.relu};
  run(part_of(s, ConvPass::Forward, 0), x, static_cast<const float*>(prepared), finish, y, workspace);
}

void conv_backward_data(Stream stream, const ConvShape& s, const storage* dy, const storage*, const void* prepared,
                        storage* dx, Write write, void* workspace, const GradEpilogue&) {
  dy = operand(stream, dy, s.output_count(), workspace);
  const float* right = static_cast<const float*>(prepared);
  for (int i = 0; i < part_count(s, ConvPass::BackwardData); i++) {
    const Part p = part_of(s, ConvPass::BackwardData, i);
    run(p, dy, right, {nullptr, write == Write::Add ? dx : nullptr, false}, dx, workspace);
    right += p.weight_floats();
  }
}

}  // namespace mpanet::PRECISION::cpu::panels
