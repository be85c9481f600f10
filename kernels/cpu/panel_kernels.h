// The innermost loops of matrix products and convolutions in float, compiled for several instruction sets by Highway.
// The processor decides at run time which of them runs, also in a build for a particular machine.
//
// A product is computed in tiles of `rows` x `columns` sums, which stay in registers. Both factors are packed:
//   left    (groups, rows, 16)       16 consecutive elements of the depth of each row: a cache line
//   right   (groups * 16, columns)   a panel
// Each sum is added in order of the depth. Its bits depend neither on its position in a tile nor on the threads.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace mpanet::cpu {

constexpr int kGroup = 16;        // elements of the depth that are contiguous in a packed left factor
constexpr int kMaxTileRows = 16;  // of every instruction set
constexpr int kMaxTileColumns = 32;
constexpr int kDepthGroups = 32;  // groups in a block of the depth, at most

// What is done to a finished sum before it is stored: y = relu(sum + shift + residual). Null pointers: nothing.
struct Finish {
  const float* shift = nullptr;     // (columns of the whole product)
  const float* residual = nullptr;  // as y, may be y
  bool relu = false;
};

struct PanelKernels {
  const char* instruction_set;
  int rows, columns;
  int row_stride;    // `rows` rounded up to whole vectors
  int depth_groups;  // groups in a block of the depth. A longer depth is computed block by block.

  // sums (rows, columns) = or += left right
  void (*multiply)(const float* left, const float* right, int64_t groups, bool add, float* sums);

  // The same where both factors are packed by rows of the depth:
  //   left    (depth, row_stride)      the first tile_rows of each are computed
  //   right   (depth, columns)
  // sums (tile_rows, columns), sums_stride floats between rows, = or += left' right. If tile_rows is odd, one more row
  // is computed and written.
  void (*multiply_transposed)(const float* left, const float* right, int64_t depth, int tile_rows, bool add,
                              float* sums, ptrdiff_t sums_stride);
  // Copies one row of the depth, of `count` elements, into tiles or panels that begin `step` floats apart. The last one
  // is filled with zeros.
  void (*spread_rows)(const float* row, int count, ptrdiff_t step, float* left);
  void (*spread_columns)(const float* row, int count, ptrdiff_t step, float* right);

  // Packs `rows` rows of groups * 16 elements each; null: a row of zeros.
  void (*pack)(const float* const* from, int64_t groups, float* left);

  // Conversions of bfloat16 and float16 (core/base/real.h), by their bits.
  void (*widen_bfloat16)(const uint16_t* from, int64_t count, float* to);
  void (*widen_float16)(const uint16_t* from, int64_t count, float* to);
  void (*narrow_bfloat16)(const float* from, int64_t count, uint16_t* to);
  void (*narrow_float16)(const float* from, int64_t count, uint16_t* to);

  // Stores the first `count` rows and `width` columns of a tile. Row m, column j goes to y[offsets[m] + column + j].
  void (*store)(const float* sums, int count, int width, const int64_t* offsets, int64_t column, const Finish& finish,
                float* y);

  // Winograd's F(2x2, 3x3) (Lavin and Gray, 2016). A tile of 4x4 pixels gives 2x2 outputs. Each of its 16 transformed
  // pixels is a row of the left factor of one of 16 products over the channels.
  // Transforms groups * 16 channels of one tile of pixels; null: a pixel of zeros. Product p's row begins at
  // left + p * product_step and has the layout of a packed left factor.
  void (*winograd_input)(const float* const pixels[16], int64_t groups, ptrdiff_t product_step, float* left);
  // The same into panels of a right factor (depth, columns) of each product, panel_step floats apart; zeros behind the
  // last channel.
  void (*winograd_columns)(const float* const pixels[16], int64_t groups, ptrdiff_t product_step, ptrdiff_t panel_step,
                           float* right);
  // Transforms 2x2 pixels of a gradient of outputs: groups * 16 channels to rows (16, groups * 16); null: zeros.
  void (*winograd_gradient)(const float* const pixels[4], int64_t groups, float* rows);
  // sums: 16 tiles, product_step apart. Row m gives up to 4 pixels of y, at offsets[4 * m ...]; below 0: outside.
  void (*winograd_output)(const float* sums, ptrdiff_t product_step, int count, int width, const int64_t* offsets,
                          int64_t column, const Finish& finish, float* y);
};

// The kernels for the best instruction set that the processor has.
const PanelKernels& panel_kernels();

// For tests: the kernels for every instruction set that the processor has, and a choice of those that panel_kernels()
// returns from now on (null: the best). Weights and workspaces that were prepared with one choice do not fit another.
std::vector<const PanelKernels*> all_panel_kernels();
void force_panel_kernels(const PanelKernels* kernels);

}  // namespace mpanet::cpu
