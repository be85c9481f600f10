// The convolutions of conv.cu on sm_90a (wgmma_tile.cuh), for the shapes of wgmma_takes(). Depth and columns have whole
// boxes of 64 channels in every tap: a box never crosses taps, and its channels beyond the last one are zero.
//
//   forward            A: pixels of x under a tap (TMA's im2col), B: weights (k, t, c), contiguous along the depth c
//   backward data      A: pixels of dy, B: the same weights, whose columns c are contiguous
//   backward weights   A: dy, contiguous along its columns k, B: pixels of x, contiguous along the columns c
//
// Pixels beyond the last picture are zero. Bytes: as conv.cu; a multiply-add of a 128 x 256 tile reads 0.023 bytes from
// L2 (85 flop a byte).
#include "kernels/cuda/conv.cuh"
#include "kernels/cuda/sm90/conv_geometry.h"
#include "kernels/cuda/sm90/wgmma_tile.cuh"
#include "kernels/cuda/wgmma_calls.h"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr int kMostStride = 2;  // of backward data, for the size of a kernel's parameters

// A convolution whose results are the positions (y_0 + step y, x_0 + step x) of pictures (h, w), for (y, x) in `grid`.
// Under tap (i, j) lies (y stride - pad_y + i, x stride - pad_x + j) of `pixels`; its weights are those of tap
// first + i down + j right.
//
// Results are written, and inputs of the epilogue read, in boxes of 16 rows. They lie in the output's map at the pixels
// of `output_grid`: all rows in one line, or with a stride the pictures' every second pixel of every second line.
struct PixelProduct {
  CUtensorMap pixels;
  CUtensorMap output, others[2];  // of the results, of the residual or the norms' inputs
  PixelGrid output_grid;
  PixelGrid grid;
  int stride, pad_y, pad_x;
  FastDivide by_taps_x;
  int taps;
  int first, down, right;
  int y_0, x_0;
};

struct Moments {
  real* moments;  // of ConvEpilogue
};

// Rows are pixels, the depth is (t, channel).
template <bool kBackward>
struct PixelPass {
  static constexpr bool kLeftAlongDepth = true, kRightAlongDepth = !kBackward;

  CUtensorMap weights;
  PixelProduct product[kBackward ? kMostStride * kMostStride : 1];
  TileList tiles;
  FastDivide by_boxes;  // boxes of channels in a tap
  int h, w, columns, step;
  std::conditional_t<kBackward, GradEpilogue, Moments> sums;

  template <class Body>
  __device__ __forceinline__ void with_sums(const Body& body) const {
    if constexpr (kBackward) {
      if (sums.sums == nullptr) return body(NoFragmentSums{});
      if (sums.z[1] != nullptr) return body(FragmentGradients<2>{sums, columns});
      body(FragmentGradients<1>{sums, columns});
    } else {
      if (sums.moments == nullptr) return body(NoFragmentSums{});
      body(FragmentMoments{sums.moments});
    }
  }
  // Backward data also has parts of tiles without rows, which are zero.
  __device__ bool has_part(const WgmmaTile& tile, int row) const { return kBackward || row < rows(tile); }
  template <class Shape>
  __device__ int64_t part(const WgmmaTile& tile, int row) const {
    static_assert(kWgmmaSumRows == kPartRows);
    return int64_t{tile.product} * tiles.row_tiles.divisor * (Shape::kM / kPartRows) + row / kPartRows;
  }
  __device__ int others(const Output<storage>& output) const {
    if constexpr (kBackward)
      return sums.sums == nullptr ? 0 : sums.z[1] != nullptr ? 2 : 1;
    else
      return sums.moments == nullptr && output.residual != nullptr ? 1 : 0;
  }
  __device__ PixelGrid::Pixel pixel(const WgmmaTile& tile, int row) const {
    return product[tile.product].output_grid.locate(row);
  }
  __device__ const CUtensorMap& output_map(const WgmmaTile& tile) const { return product[tile.product].output; }
  __device__ const CUtensorMap& other_map(const WgmmaTile& tile, int i) const {
    return product[tile.product].others[i];
  }
  template <class Shape>
  __device__ __forceinline__ auto load_gates(const WgmmaTile& tile) const {
    if constexpr (kBackward) {
      constexpr int kAcross = Shape::kGroupN / kPatchColumns;
      TileGates<Shape> gates{};
      if (sums.sums == nullptr) return gates;
      UNROLL
      for (int i = 0; i < 2 * Shape::kRowBlocks; i++) {
        const int warp = static_cast<int>(threadIdx.x) / kWarp % kGroupWarps;
        const int row =
            tile.row + Shape::group_row() + i / 2 * kPartRows + warp * kWarpRows + i % 2 * 8 + lane_of_warp() / 4;
        if (row >= rows(tile)) continue;
        const int64_t offset = row_offset(tile, row);
        UNROLL
        for (int j = 0; j < kAcross; j++) {
          const int column = tile.column + Shape::group_column() + j * kPatchColumns;
          if (column < columns)
            gates.words[i / 2 * kAcross + j][i % 2] = load_gate_bits(sums.signs, offset, column, columns);
        }
      }
      return gates;
    } else {
      return NoGates{};
    }
  }
  __device__ int rows(const WgmmaTile& tile) const { return product[tile.product].grid.pixels; }
  __device__ int last_step(const WgmmaTile& tile) const {
    return product[tile.product].taps * static_cast<int>(by_boxes.divisor);
  }
  template <class Shape>
  __device__ void load(const WgmmaTile& tile, int step, typename WgmmaMemory<Shape>::Stage& stage,
                       uint64_t& barrier) const {
    const PixelProduct& p = product[tile.product];
    const int tap = by_boxes.quotient(step), channel = by_boxes.remainder(step, tap) * kChannels;
    const int i = p.by_taps_x.quotient(tap), j = p.by_taps_x.remainder(tap, i);
    const auto [n, y, x] = p.grid.locate(tile.row);
    tma_load_pixels(stage.left, p.pixels, barrier, channel, x * p.stride - p.pad_x, y * p.stride - p.pad_y, n, j, i);
    const int weights_tap = p.first + i * p.down + j * p.right;
    if constexpr (kRightAlongDepth) {
      tma_load_3d(stage.right, weights, barrier, channel, weights_tap, tile.column);
    } else {
      UNROLL
      for (int box = 0; box < Shape::kN / kChannels; box++)
        tma_load_3d(stage.right + box * kBoxBytes, weights, barrier, tile.column + box * kChannels, weights_tap,
                    channel);
    }
  }
  __device__ int64_t row_offset(const WgmmaTile& tile, int row) const {
    if (!kBackward || step == 1) return int64_t{row} * columns;
    const PixelProduct& p = product[tile.product];
    const auto [n, y, x] = p.grid.locate(row);
    return ((int64_t{n} * h + y * step + p.y_0) * w + x * step + p.x_0) * columns;
  }
  __device__ ColumnRun columns_from(int column) const { return {column, columns - column}; }
};

// Rows are k, columns (t, c), the depth is pixels.
struct WeightPass {
  static constexpr bool kLeftAlongDepth = false, kRightAlongDepth = false;

  CUtensorMap gradient, pixels;
  PixelGrid grid;
  TileList tiles;
  FastDivide by_boxes, by_taps_x;
  int stride, pad, k, c, taps;

  __device__ int rows(const WgmmaTile&) const { return k; }
  __device__ int last_step(const WgmmaTile&) const { return (grid.pixels - 1) / kBoxDepth + 1; }
  template <class Shape>
  __device__ void load(const WgmmaTile& tile, int step, typename WgmmaMemory<Shape>::Stage& stage,
                       uint64_t& barrier) const {
    const auto [n, y, x] = grid.locate(step * kBoxDepth);
    UNROLL
    for (int box = 0; box < Shape::kM / kChannels; box++)
      tma_load_2d(stage.left + box * kBoxBytes, gradient, barrier, tile.row + box * kChannels, step * kBoxDepth);
    UNROLL
    for (int box = 0; box < Shape::kN / kChannels; box++) {
      const int at = tile.column / kChannels + box;
      const int tap = by_boxes.quotient(at), i = by_taps_x.quotient(tap), j = by_taps_x.remainder(tap, i);
      // A tile may have more columns than there are. Channels from c on are zero.
      const int channel = tap < taps ? by_boxes.remainder(at, tap) * kChannels : c;
      tma_load_pixels(stage.right + box * kBoxBytes, pixels, barrier, channel, x * stride - pad, y * stride - pad, n,
                      tap < taps ? j : 0, tap < taps ? i : 0);
    }
  }
  __device__ int64_t row_offset(const WgmmaTile&, int row) const { return int64_t{row} * taps * c; }
  __device__ ColumnRun columns_from(int column) const {
    const int at = column / kChannels, tap = by_boxes.quotient(at), channel = by_boxes.remainder(at, tap) * kChannels;
    return {tap * c + channel, tap < taps ? c - channel : 0};
  }
};

template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads, 1)
    conv_forward_wgmma_kernel(const __grid_constant__ PixelPass<false> pass, Output<storage> y) {
  compute_tiles<Shape>(pass, y);
}
template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads, 1)
    conv_backward_data_wgmma_kernel(const __grid_constant__ PixelPass<true> pass, Output<storage> dx) {
  compute_tiles<Shape>(pass, dx);
}
template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads, 1)
    conv_backward_weights_wgmma_kernel(const __grid_constant__ WeightPass pass, Output<real> dw) {
  compute_tiles<Shape>(pass, dw);
}

// ---- Launchers. ----------------------------------------------------------------------------------------------------

int boxes(int channels) { return static_cast<int>(divide_up(channels, kChannels)); }

// Weights (k, t, c) in boxes of 64 channels c and `rows` of k.
const CUtensorMap& weights_map(Stream stream, const ConvShape& s, const storage* w, int rows) {
  const auto size = [](int value) { return static_cast<uint64_t>(value); };
  return runtime::tensor_map(
      stream,
      runtime::TensorBox{
          w, kBfloat, {size(s.c), size(s.kh) * size(s.kw), size(s.k)}, {kChannels, 1, static_cast<uint32_t>(rows)}});
}

PixelProduct product_of(Stream stream, const Geometry& g, const storage* pictures, int n, int c, int rows) {
  PixelProduct p{};
  p.grid = g.grid;
  p.stride = g.stride, p.pad_y = g.pad_y, p.pad_x = g.pad_x;
  p.taps = g.taps_y * g.taps_x;
  p.by_taps_x = FastDivide(std::max(1, g.taps_x));
  if (p.taps > 0) p.pixels = g.map(stream, pictures, n, c, rows);
  return p;
}

TileList tiles_of(const ProductPlan& plan, int64_t rows, int64_t columns, int products) {
  return {FastDivide(static_cast<int>(divide_up(columns, plan.tile_n))),
          FastDivide(static_cast<int>(divide_up(rows, plan.tile_m))), FastDivide(plan.splits), products,
          plan.chunk / kBoxDepth};
}

// Calls body<Shape>(blocks, shared bytes) for the plan's tile.
template <class Shape, class... More, class Body>
void with_shape(Stream stream, const ProductPlan& plan, const TileList& tiles, const Body& body) {
  if (plan.tile_m == Shape::kM && plan.tile_n == Shape::kN) {
    const double count =
        1.0 * tiles.column_tiles.divisor * tiles.row_tiles.divisor * tiles.splits.divisor * tiles.products;
    KERNEL_CHECK(count < 0x1p31, "fewer than 2^31 tiles");
    const int most = plan.blocks > 0 ? plan.blocks : runtime::multiprocessors(stream);
    body.template operator()<Shape>(dim3(static_cast<unsigned>(std::min<int64_t>(static_cast<int64_t>(count), most))),
                                    sizeof(WgmmaMemory<Shape>));
  } else if constexpr (sizeof...(More) > 0) {
    with_shape<More...>(stream, plan, tiles, body);
  } else {
    KERNEL_CHECK(false, "a tile of wgmma_tiles()");
  }
}

}  // namespace

bool wgmma_takes(Stream stream, const ConvShape& s, ConvPass pass, bool forced) {
  if (!runtime::has_sm90a(stream) || s.c % kFull<storage> != 0 || s.k % kFull<storage> != 0) return false;
  if (!forced && (s.c < kChannels || s.k < kChannels)) return false;
  if (pass != ConvPass::BackwardData) return forward_geometry(s).can_describe();
  // Every residue must exist, because the sums for norms have parts of all.
  bool can = s.stride <= kMostStride && s.h >= s.stride && s.w >= s.stride;
  if (can)
    each_residue(s, [&](const Residue& r) {
      const Geometry& g = r.geometry;
      can = can && (g.taps_y * g.taps_x == 0 || g.can_describe()) && output_boxes(s, r).can_describe();
    });
  return can;
}

void wgmma_forward(Stream stream, const ConvShape& s, const storage* x, const storage* w, const ProductPlan& plan,
                   real* moments, const Output<storage>& y) {
  PixelPass<false> pass{};
  PixelProduct& p = pass.product[0];
  p = product_of(stream, forward_geometry(s), x, s.n, s.c, plan.tile_m);
  p.down = s.kw, p.right = 1;
  pass.weights = weights_map(stream, s, w, plan.tile_n);
  const OutputBoxes out{s.n, s.oh(), s.ow(), s.k, 1, 0, 0, {}};
  p.output_grid = out.pixel_grid();
  out.describe(stream, y.to, p.output);
  out.describe(stream, y.residual, p.others[0]);
  pass.tiles = tiles_of(plan, p.grid.pixels, s.k, 1);
  pass.by_boxes = FastDivide(boxes(s.c));
  pass.sums.moments = moments;
  pass.h = s.oh(), pass.w = s.ow(), pass.columns = s.k, pass.step = 1;
  with_shape<WgmmaShape<128, 256>, WgmmaShape<128, 128>, WgmmaShape<256, 64>>(
      stream, plan, pass.tiles, [&]<class Shape>(dim3 blocks, size_t shared) {
        LAUNCH(conv_forward_wgmma_kernel<Shape>, blocks, Shape::kThreads, shared, stream, pass, y);
      });
}

void wgmma_backward_data(Stream stream, const ConvShape& s, const storage* dy, const storage* w,
                         const ProductPlan& plan, const GradEpilogue& epilogue, const Output<storage>& dx) {
  PixelPass<true> pass{};
  int64_t rows = 0;
  int products = 0;
  each_residue(s, [&](const Residue& r) {
    PixelProduct& p = pass.product[products++];
    p = product_of(stream, r.geometry, dy, s.n, s.k, plan.tile_m);
    p.first = (r.first_y + s.stride * (r.geometry.taps_y - 1)) * s.kw + r.first_x + s.stride * (r.geometry.taps_x - 1);
    p.down = -s.stride * s.kw, p.right = -s.stride;
    p.y_0 = r.a, p.x_0 = r.b;
    const OutputBoxes out = output_boxes(s, r);
    p.output_grid = out.pixel_grid();
    out.describe(stream, dx.to, p.output);
    if (epilogue.sums != nullptr)
      for (int i = 0; i < 2; i++) out.describe(stream, epilogue.z[i], p.others[i]);
    rows = std::max<int64_t>(rows, p.grid.pixels);
  });
  pass.weights = weights_map(stream, s, w, kChannels);
  pass.tiles = tiles_of(plan, rows, s.c, products);
  pass.by_boxes = FastDivide(boxes(s.k));
  pass.sums = epilogue;
  pass.h = s.h, pass.w = s.w, pass.columns = s.c, pass.step = s.stride;
  with_shape<WgmmaShape<128, 256>, WgmmaShape<128, 128>, WgmmaShape<256, 64>>(
      stream, plan, pass.tiles, [&]<class Shape>(dim3 blocks, size_t shared) {
        LAUNCH(conv_backward_data_wgmma_kernel<Shape>, blocks, Shape::kThreads, shared, stream, pass, dx);
      });
}

void wgmma_backward_weights(Stream stream, const ConvShape& s, const storage* x, const storage* dy,
                            const ProductPlan& plan, const Output<real>& dw) {
  const Geometry geometry = forward_geometry(s);
  WeightPass pass{};
  pass.grid = geometry.grid;
  pass.pixels = geometry.map(stream, x, s.n, s.c, kBoxDepth);
  pass.gradient = runtime::tensor_map(
      stream, runtime::TensorBox{dy,
                                 kBfloat,
                                 {static_cast<uint64_t>(s.k), static_cast<uint64_t>(geometry.grid.pixels)},
                                 {kChannels, kBoxDepth}});
  pass.by_boxes = FastDivide(boxes(s.c)), pass.by_taps_x = FastDivide(s.kw);
  pass.stride = s.stride, pass.pad = s.pad, pass.k = s.k, pass.c = s.c, pass.taps = s.kh * s.kw;
  pass.tiles = tiles_of(plan, s.k, int64_t{pass.taps} * boxes(s.c) * kChannels, 1);
  with_shape<WgmmaShape<128, 256>, WgmmaShape<128, 128>, WgmmaShape<64, 128>>(
      stream, plan, pass.tiles, [&]<class Shape>(dim3 blocks, size_t shared) {
        LAUNCH(conv_backward_weights_wgmma_kernel<Shape>, blocks, Shape::kThreads, shared, stream, pass, dw);
      });
}

}  // namespace mpanet::PRECISION::KERNEL_NS
