// Convolution, NHWC activations and OHWI weights, as matrix products without unfolding in memory: of bf16, f16 and tf32
// on tensor cores (tensor_tile.cuh), of f64 and f32 in ordinary arithmetic (tile.cuh). In 16 bits the stem has kernels
// of its own (conv_stem.h), and so has compute capability 9.0 (sm90/). o: output pixels, t = (i, j): taps, x(o, t): the
// input pixel under the tap:
//
//   forward           y (o, k)         = sum over (t, c) of x(o, t)(c) w(k, t, c), then the epilogue of ConvEpilogue
//   backward data     dx (p, c)        = sum over (t, k) of dy(o with p under t)(k) w(k, t, c)
//   backward weights  dw (k, (t, c))   = sum over o of dy(o)(k) x(o, t)(c)
//
// In forward and backward data, pixels are the rows of the tile, contiguous along the depth; in backward weights they
// are the depth. The weights need no prepared copy: forward reads OHWI along the depth (t, c), backward data along c,
// both in whole packs. The epilogue's scale costs one multiplication per output.
//
// Backward data with a stride: exactly the same taps reach all pixels of one residue of (y, x) modulo the stride. Each
// residue is a product of its own in the same launch (blockIdx.z): a convolution of stride 1 over these taps, reversed.
// So nothing is multiplied by a zero between strides, and a residue that no tap reaches only writes zeros.
//
// Blocks: one per tile and split of the depth (plan.cuh). In ordinary arithmetic every shape of the network at batch
// 128 has at least 256 blocks of 128 x 64 (64 x 64 if a side is 64), with 2 to 456 splits for backward weights.
//
// Bytes: each activation must move once per pass. A row of tiles reads its pixels once per tile of columns and once per
// tap; repeated reads hit the L2 cache, because neighbouring blocks run at the same time. A multiply-add reads from L2
// 0.09 bytes with 128 x 64 tiles in f32 (21 flop a byte), 0.03 with 128 x 128 tiles in 16 bits (64 flop a byte) and
// 0.06 in TF32. Outputs are written once; or each split writes (rows, columns) reals and a second kernel adds them.
#include "kernels/cuda/capability.h"
#include "kernels/cuda/conv_choice.h"
#include "kernels/cuda/conv_stem.h"
#include "kernels/cuda/conv_tensor.cuh"
#include "kernels/cuda/plan.cuh"
#include "kernels/cuda/vendor_calls.h"
#include "kernels/cuda/wgmma_calls.h"
#include "kernels/memory.h"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr bool kHalf = sizeof(storage) == 2;

template <class Shape>
using Memory = std::conditional_t<Shape::kTensor, TensorMemory<Shape>, TileMemory<Shape>>;
template <class Shape>
using Sums = std::conditional_t<Shape::kTensor, TensorSums<Shape>, TileSums<Shape>>;

// Whether half packs can be read, of the left and the right factor (tensor_tile.cuh).
struct HalfPacks {
  bool left, right;
};

struct TilePosition {
  int row, column, split, group, begin, end;
};

// A block's tile of a product with this depth. blockIdx.z is the index of (group, split).
template <class Shape>
__device__ TilePosition tile_position(int columns, int splits, int chunk, int depth) {
  const int column_tiles = (columns - 1) / Shape::kN + 1;
  const int tile = static_cast<int>(blockIdx.x), z = static_cast<int>(blockIdx.z);
  const int split = z % splits, begin = split * chunk;
  return {.row = tile / column_tiles * Shape::kM,
          .column = tile % column_tiles * Shape::kN,
          .split = split,
          .group = z / splits,
          .begin = begin,
          .end = depth - begin < chunk ? depth : begin + chunk};
}

template <class Shape, int L>
__global__ void __launch_bounds__(Shape::kThreads, Shape::kBlocks)
    conv_forward_kernel(ConvShape s, Gather x, const storage* w, int splits, int chunk, HalfPacks half,
                        Output<storage> y, real* moments) {
  const int depth = s.kh * s.kw * static_cast<int>(x.by_c.divisor);
  const TilePosition t = tile_position<Shape>(y.columns, splits, chunk, depth);
  const auto row_offset = [&](int r) { return int64_t{r} * s.k; };
  auto& memory = shared_memory<Memory<Shape>>();
  Sums<Shape> sums;
  if constexpr (Shape::kTensor) {
    const TensorPixelRows<L> pixels{x, depth, half.left};
    const TensorWeightRows<L> weights{w, s.k, s.kh * s.kw, s.c, depth, x.by_c, half.right};
    multiply_tile(memory, pixels, weights, t.row, t.column, t.begin, t.end, sums);
  } else {
    const MatrixSource<storage, true, L> weights{w, s.k, t.end, depth};
    multiply_tile(memory, PixelRows<L>{x, t.end}, weights, t.row, t.column, t.begin, t.end, sums);
  }
  const auto emit = [&](const auto& tile_sums) {
    if constexpr (Shape::kTensor)
      emit_tile<L>(memory, sums, y, x.grid.pixels, t.row, t.column, t.split, row_offset, Columns{s.k}, tile_sums);
    else
      emit_tile<L>(memory, sums, y, x.grid.pixels, t.row, t.column, t.split, row_offset, tile_sums);
  };
  if (moments == nullptr)
    emit(NoTileSums{});
  else
    emit(TileMoments{moments + int64_t{t.row / Shape::kM} * 2 * s.k, s.k});
}

// Each residue of (y, x) modulo the stride is a product of its own, with the taps that reach it: a convolution of
// stride 1. Residue r occurs ceil(size / stride) times where r < size % stride, else floor(size / stride) times. [1]
// and [0] divide by these counts.
struct Residues {
  FastDivide by_height[2], by_width[2], by_taps_x[2], by_k;
};
// An index that is not known at compile time would copy the array to the stack.
__device__ inline FastDivide choose(const FastDivide (&by)[2], bool more) { return more ? by[1] : by[0]; }

template <class Shape, int L>
__global__ void __launch_bounds__(Shape::kThreads, Shape::kBlocks)
    conv_backward_data_kernel(ConvShape s, Residues residues, const storage* dy, int oh, int ow, const storage* w,
                              int splits, int chunk, HalfPacks half, Output<storage> dx, GradEpilogue epilogue) {
  const int group = static_cast<int>(blockIdx.z) / splits, a = group / s.stride, b = group % s.stride;
  const int first_y = (a + s.pad) % s.stride, first_x = (b + s.pad) % s.stride;
  const int taps_y = (s.kh - first_y + s.stride - 1) / s.stride, taps_x = (s.kw - first_x + s.stride - 1) / s.stride;
  const int depth = taps_y * taps_x * static_cast<int>(residues.by_k.divisor);
  const TilePosition t = tile_position<Shape>(dx.columns, splits, chunk, depth);
  const FastDivide by_taps_x = choose(residues.by_taps_x, first_x < s.kw % s.stride);
  PixelGrid grid{choose(residues.by_width, b < s.w % s.stride), choose(residues.by_height, a < s.h % s.stride), 0};
  grid.pixels = s.n * static_cast<int>(grid.by_height.divisor * grid.by_width.divisor);
  const Gather gather{.picture = dy,
                      .h = oh,
                      .w = ow,
                      .c = s.k,
                      .grid = grid,
                      .stride = 1,
                      .pad_y = taps_y - 1 - (a + s.pad - first_y) / s.stride,
                      .pad_x = taps_x - 1 - (b + s.pad - first_x) / s.stride,
                      .by_c = residues.by_k,
                      .by_taps_x = by_taps_x};
  // A residue has at most as many tiles of rows as the grid. The part of a tile without rows is zero.
  const int norms = epilogue.z[1] != nullptr ? 2 : 1, column_tiles = (s.c - 1) / Shape::kN + 1;
  const int64_t part = int64_t{group} * (gridDim.x / column_tiles) + t.row / Shape::kM;
  real* const part_sums = epilogue.sums + part * (1 + norms) * s.c;
  if (a >= s.h || b >= s.w || t.row >= gather.grid.pixels) {
    const int end = epilogue.sums == nullptr ? 0 : min(s.c, t.column + Shape::kN);
    for (int c = t.column + static_cast<int>(threadIdx.x); c < end; c += Shape::kThreads)
      for (int v = 0; v <= norms; v++) part_sums[v * s.c + c] = 0;
    return;
  }
  const ReversedTaps<L> weights{.weights = w,
                                .kh = s.kh,
                                .kw = s.kw,
                                .c = s.c,
                                .last_y = first_y + s.stride * (taps_y - 1),
                                .last_x = first_x + s.stride * (taps_x - 1),
                                .stride = s.stride,
                                .by_k = residues.by_k,
                                .by_taps_x = by_taps_x,
                                .end = t.end};
  const auto row_offset = [=, &s](int r) {
    const auto [n, y, x] = grid.locate(r);
    return ((int64_t{n} * s.h + y * s.stride + a) * s.w + x * s.stride + b) * s.c;
  };
  auto& memory = shared_memory<Memory<Shape>>();
  Sums<Shape> sums;
  if constexpr (Shape::kTensor) {
    const TensorPixelRows<L> pixels{gather, depth, half.left};
    multiply_tile(memory, pixels, TensorReversedTaps<L>{weights, s.k, half.right}, t.row, t.column, t.begin, t.end,
                  sums);
  } else {
    multiply_tile(memory, PixelRows<L>{gather, t.end}, weights, t.row, t.column, t.begin, t.end, sums);
  }
  const auto emit = [&](const auto& tile_sums) {
    if constexpr (Shape::kTensor)
      emit_tile<L>(memory, sums, dx, gather.grid.pixels, t.row, t.column, t.split, row_offset, Columns{s.c}, tile_sums);
    else
      emit_tile<L>(memory, sums, dx, gather.grid.pixels, t.row, t.column, t.split, row_offset, tile_sums);
  };
  if (epilogue.sums == nullptr)
    emit(NoTileSums{});
  else if (norms == 2)
    emit(TileGradients<2>{epilogue, part_sums, s.c});
  else
    emit(TileGradients<1>{epilogue, part_sums, s.c});
}

template <class Shape, int L>
__global__ void __launch_bounds__(Shape::kThreads, Shape::kBlocks)
    conv_backward_weights_kernel(ConvShape s, Gather x, const storage* dy, int splits, int chunk, HalfPacks half,
                                 Output<real> dw) {
  const int columns = s.kh * s.kw * static_cast<int>(x.by_c.divisor);  // of dw, and zeros behind the channels of a tap
  const TilePosition t = tile_position<Shape>(columns, splits, chunk, x.grid.pixels);
  x.grid.pixels = t.end;
  const auto row_offset = [&](int r) { return int64_t{r} * dw.columns; };
  auto& memory = shared_memory<Memory<Shape>>();
  Sums<Shape> sums;
  if constexpr (Shape::kTensor) {
    const TensorColumns<L> left{dy, s.k, t.end, half.left};
    multiply_tile(memory, left, TensorPixelDepths<L>{x, columns, half.right}, t.row, t.column, t.begin, t.end, sums);
    const auto column_at = [&](int column) {
      const int tap = x.by_c.quotient(column), c = x.by_c.remainder(column, tap);
      return column < columns && c < s.c ? tap * s.c + c : -1;
    };
    emit_tile<L>(memory, sums, dw, s.k, t.row, t.column, t.split, row_offset, column_at);
  } else {
    const MatrixSource<storage, false, L> left{dy, s.k, t.end, s.k};
    multiply_tile(memory, left, PixelDepths<L>{x, columns}, t.row, t.column, t.begin, t.end, sums);
    emit_tile<L>(sums, dw, s.k, t.row, t.column, t.split, row_offset);
  }
}

// ---- Launchers. ----------------------------------------------------------------------------------------------------

// T is storage; a template, because one that tensor cores do not have must not instantiate their tiles.
template <class T = storage, class Body>
void with_plan(Stream stream, const ProductPlan& plan, bool packed, const Body& body) {
  if constexpr (sizeof(T) <= 4)
    if (on_tensor_cores(stream)) return with_tensor_tile<T>(plan, packed, body);
  if constexpr (sizeof(T) >= 4) with_tile(plan, packed, body);
}

template <class T>
bool half_packs_fit(int width, const T* start) {
  constexpr int kHalf = kFull<T> / 2;
  return width % kHalf == 0 && reinterpret_cast<uintptr_t>(start) % (kHalf * sizeof(T)) == 0;
}

void check(const ConvShape& s) {
  constexpr int64_t kMostPixels = int64_t{1} << 30, kMostWeights = (int64_t{1} << 31) - 1024;
  KERNEL_CHECK(s.n > 0 && s.c > 0 && s.k > 0 && s.kh > 0 && s.kw > 0 && s.stride > 0 && s.pad >= 0, "positive sizes");
  KERNEL_CHECK(s.h + 2 * s.pad >= s.kh && s.w + 2 * s.pad >= s.kw, "a picture that the filter fits in");
  KERNEL_CHECK(s.h < kLargestSide && s.w < kLargestSide && s.pad < kLargestSide / 2, "sides below 8192");
  KERNEL_CHECK(int64_t{s.n} * s.h * s.w < kMostPixels && int64_t{s.n} * s.oh() * s.ow() < kMostPixels,
               "at most 2^30 pixels");
  KERNEL_CHECK(
      int64_t{s.kh} * s.kw * tap_width(s.c) < kMostWeights && int64_t{s.kh} * s.kw * tap_width(s.k) < kMostWeights,
      "filters below 2^31 weights");
}

Gather forward_gather(const ConvShape& s, const storage* x) {
  return {.picture = x,
          .h = s.h,
          .w = s.w,
          .c = s.c,
          .grid = {FastDivide(s.ow()), FastDivide(s.oh()), s.n * s.oh() * s.ow()},
          .stride = s.stride,
          .pad_y = s.pad,
          .pad_x = s.pad,
          .by_c = FastDivide(tap_width(s.c)),
          .by_taps_x = FastDivide(s.kw)};
}

// Launches a pass with run<Shape, Lanes>(plan, grid), or run_other(plan) if it is one of wgmma or of the stem, then
// adds its splits. aligned: whether the factors are. These plans run with the first if the addresses are not aligned:
// their depth is not less. sums: whether the epilogue computes what conv_epilogue_sums() says. add: false leaves the
// splits' sums in the workspace.
template <class T, class Run, class RunOther>
void launch_pass(Stream stream, const ConvShape& s, ConvPass pass, bool aligned, bool sums, Output<T>& output,
                 void* workspace, const Run& run, const RunOther& run_other, bool add = true) {
  check(s);
  if (!std::is_same_v<storage, float16> && on_tensor_cores(stream))
    ::mpanet::KERNEL_NS::require_tensor_cores(stream, kHalf ? "bf16" : "tf32");
  const ProductSize size = conv_product(s, pass);
  const ProductPlan plan = conv_plan(stream, s, pass);
  if (plan.splits > 1) output.partial = static_cast<real*>(workspace);
  const bool packed = size.packed && aligned && output.packed;
  if ((plan.wgmma && packed) || (plan.stem && aligned && (output.packed || pass == ConvPass::BackwardWeights)))
    run_other(plan);
  else
    with_plan(stream, plan, packed, [&]<class Shape, int L>() {
      KERNEL_CHECK(!sums || (!plan.wgmma && !plan.stem && plan.splits == 1 && Shape::kM == plan.tile_m),
                   "sums of tiles only where conv_epilogue_sums() has them, and aligned addresses");
      run.template operator()<Shape, L>(plan, product_grid<Shape>(size.m, size.n, int64_t{plan.splits} * size.classes));
    });
  if (plan.splits > 1 && add) add_splits(stream, output, plan.splits);
}

// add: false leaves the sums of the splits in the workspace, and dw is not used.
void backward_weights(Stream stream, const ConvShape& s, const storage* x, const storage* dy, real* dw, Write write,
                      void* workspace, bool add) {
  const int columns = s.kh * s.kw * s.c;
  Output<real> output{.to = dw,
                      .columns = columns,
                      .write = write,
                      .packed = full_packs_fit(kHalf ? s.c : columns, dw),  // c: packs must not cross taps
                      .count = s.weight_count()};
  launch_pass(
      stream, s, ConvPass::BackwardWeights, full_packs_fit(0, x, dy), false, output, workspace,
      [&]<class Shape, int L>(const ProductPlan& plan, dim3 grid) {
        LAUNCH((conv_backward_weights_kernel<Shape, L>), grid, Shape::kThreads, sizeof(Memory<Shape>), stream, s,
               forward_gather(s, x), dy, plan.splits, plan.chunk,
               HalfPacks{half_packs_fit(s.k, dy), half_packs_fit(s.c, x)}, output);
      },
      [&](const ProductPlan& plan) {
        if (plan.stem)
          stem_backward_weights(stream, s, x, dy, plan, output);
        else
          wgmma_backward_weights(stream, s, x, dy, plan, output);
      },
      add);
}

}  // namespace

void conv_forward(Stream stream, const ConvShape& s, const storage* x, const storage* w, const void*,
                  const ConvEpilogue& epilogue, storage* y, void* workspace) {
  if (vendor::conv_forward(stream, s, x, w, epilogue, y, workspace)) return;
  KERNEL_CHECK(epilogue.moments == nullptr || (epilogue.scale == nullptr && epilogue.shift == nullptr &&
                                               epilogue.residual == nullptr && !epilogue.relu),
               "statistics of the product alone");
  Output<storage> output{.to = y,
                         .columns = s.k,
                         .scale = epilogue.scale,
                         .shift = epilogue.shift,
                         .residual = epilogue.residual,
                         .relu = epilogue.relu,
                         .packed = full_packs_fit(s.k, y, epilogue.residual),
                         .count = s.output_count()};
  launch_pass(
      stream, s, ConvPass::Forward, full_packs_fit(0, x, w), epilogue.moments != nullptr, output, workspace,
      [&]<class Shape, int L>(const ProductPlan& plan, dim3 grid) {
        LAUNCH((conv_forward_kernel<Shape, L>), grid, Shape::kThreads, sizeof(Memory<Shape>), stream, s,
               forward_gather(s, x), w, plan.splits, plan.chunk,
               HalfPacks{half_packs_fit(s.c, x), half_packs_fit(s.c, w)}, output, epilogue.moments);
      },
      [&](const ProductPlan& plan) {
        if (plan.stem)
          stem_forward(stream, s, x, w, plan, epilogue.moments, output);
        else
          wgmma_forward(stream, s, x, w, plan, epilogue.moments, output);
      });
}

void conv_backward_data(Stream stream, const ConvShape& s, const storage* dy, const storage* w, const void*,
                        storage* dx, Write write, void* workspace, const GradEpilogue& epilogue) {
  if (vendor::conv_backward_data(stream, s, dy, w, dx, write, workspace)) return;
  Output<storage> output{.to = dx,
                         .columns = s.c,
                         .write = write,
                         .packed = full_packs_fit(s.c, dx, epilogue.z[0], epilogue.z[1]),
                         .count = s.input_count()};
  Residues residues;
  for (const int more : {0, 1}) {
    const auto by = [&](int size) { return FastDivide(std::max(1, size / s.stride + more)); };
    residues.by_height[more] = by(s.h), residues.by_width[more] = by(s.w), residues.by_taps_x[more] = by(s.kw);
  }
  residues.by_k = FastDivide(tap_width(s.k));
  launch_pass(
      stream, s, ConvPass::BackwardData, full_packs_fit(0, dy, w), epilogue.sums != nullptr, output, workspace,
      [&]<class Shape, int L>(const ProductPlan& plan, dim3 grid) {
        LAUNCH((conv_backward_data_kernel<Shape, L>), grid, Shape::kThreads, sizeof(Memory<Shape>), stream, s, residues,
               dy, s.oh(), s.ow(), w, plan.splits, plan.chunk,
               HalfPacks{half_packs_fit(s.k, dy), half_packs_fit(s.c, w)}, output, epilogue);
      },
      [&](const ProductPlan& plan) { wgmma_backward_data(stream, s, dy, w, plan, epilogue, output); });
}

void conv_backward_weights(Stream stream, const ConvShape& s, const storage* x, const storage* dy, real* dw,
                           Write write, void* workspace) {
  if (vendor::conv_backward_weights(stream, s, x, dy, dw, write, workspace)) return;
  backward_weights(stream, s, x, dy, dw, write, workspace, true);
}

void conv_backward_weight_splits(Stream stream, const ConvShape& s, const storage* x, const storage* dy,
                                 void* workspace) {
  KERNEL_CHECK(conv_weight_splits(stream, s) > 0, "a product whose depth is split");
  backward_weights(stream, s, x, dy, nullptr, Write::Set, workspace, false);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
