// Products with the tiles of tile.cuh: the choice of tiles and splits, and the output of sums.
//
// A product with too few tiles to fill a card is also split along its depth. Each split writes its sums to the
// workspace (splits, rows, columns), and a second kernel adds them in order, so that two runs give the same bits.
#pragma once
#include <algorithm>

#include "kernels/cuda/tile.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

// Multiply-shift division (Granlund and Montgomery 1994), exact for 0 <= n < 2^31.
struct FastDivide {
  uint32_t divisor = 1, multiplier = 1, shift = 0;

  FastDivide() = default;
  explicit FastDivide(int by) : divisor(static_cast<uint32_t>(by)) {
    while ((uint64_t{1} << shift) < divisor) shift++;
    multiplier = static_cast<uint32_t>((((uint64_t{1} << shift) - divisor) << 32) / divisor + 1);
  }
  __device__ int quotient(int n) const {
    const uint32_t u = static_cast<uint32_t>(n);
    return static_cast<int>((static_cast<uint32_t>((uint64_t{u} * multiplier) >> 32) + u) >> shift);
  }
  __device__ int remainder(int n, int quotient) const { return n - quotient * static_cast<int>(divisor); }
};

// A dense matrix as a factor. Along the depth: element (row, p) is data[row * stride + p]; else data[p * stride + row].
template <class T, bool AlongDepth, int Lanes>
struct MatrixSource {
  static constexpr bool kAlongDepth = AlongDepth;
  static constexpr int kLanes = Lanes;
  using Element = T;
  using Row = int;
  using Depth = int;

  const T* data;
  int rows, end;
  int stride;

  __device__ int row(int index) const { return index; }
  __device__ int depth(int p) const { return p; }
  __device__ bool inside(int row, int p) const { return row < rows && p < end; }
  __device__ const T* at(int row, int p) const {
    return data + (AlongDepth ? int64_t{row} * stride + p : int64_t{p} * stride + row);
  }
};

// The output of sums: to = act(scale * sum + shift + residual), set or added; or the workspace of a split product.
template <class T>
struct Output {
  T* to = nullptr;
  int columns = 0;              // columns of `to`
  const real* scale = nullptr;  // (columns) or null
  const real* shift = nullptr;  // (columns) or null
  const T* residual = nullptr;  // as `to`, or null
  bool relu = false;
  Write write = Write::Set;
  bool packed = false;      // rows can be accessed in packs of kVector
  real* partial = nullptr;  // (splits, count) or null
  int64_t count = 0;        // elements of `to`

  // Writes L columns from `column` on, of the row that begins at `offset`.
  template <int L>
  __device__ void finish(int64_t offset, int column, const real* sums) const {
    const int64_t at = offset + column;
    Pack<T, L> before = {}, added = {};
    if (write == Write::Add) before = load_pack<L>(to + at);
    if (residual != nullptr) added = load_pack<L>(residual + at);
    UNROLL
    for (int j = 0; j < L; j++) {
      real value = sums[j];
      if (scale != nullptr) value *= scale[column + j];
      if (shift != nullptr) value += shift[column + j];
      if (residual != nullptr) value += load(added.lane[j]);
      put(before.lane[j], relu ? rectify(value) : value, write);
    }
    store_pack(to + at, before);
  }
};

// Writes a thread's sums of a tile, L columns at once. row_offset(row): index in the output of a row of C.
template <int L, class Shape, class T, class RowOffset>
__device__ void emit_packs(const TileSums<Shape>& sums, const Output<T>& output, int rows, int first_row,
                           int first_column, int split, const RowOffset& row_offset) {
  const int row = first_row + Shape::row(), column = first_column + Shape::column();
  UNROLL
  for (int i = 0; i < Shape::kRows; i++) {
    if (row + Shape::row_of(i) >= rows) continue;
    const int64_t offset = row_offset(row + Shape::row_of(i));
    UNROLL
    for (int j = 0; j < Shape::kColumns; j += L) {
      const int at = column + Shape::column_of(j);
      if (at >= output.columns) continue;
      if (output.partial == nullptr) {
        output.template finish<L>(offset, at, &sums.at[i][j]);
        continue;
      }
      Pack<real, L> values;
      UNROLL
      for (int e = 0; e < L; e++) values.lane[e] = sums.at[i][j + e];
      store_pack(output.partial + split * output.count + offset + at, values);
    }
  }
}

// The same in packs if output.packed. Lanes: of the product's factors; for Lanes > 1 the output is always accessed in
// packs.
template <int Lanes, class Shape, class T, class RowOffset>
__device__ void emit_tile(const TileSums<Shape>& sums, const Output<T>& output, int rows, int first_row,
                          int first_column, int split, const RowOffset& row_offset) {
  if (Lanes > 1 || output.packed)
    emit_packs<kVector>(sums, output, rows, first_row, first_column, split, row_offset);
  else if constexpr (Lanes == 1)
    emit_packs<1>(sums, output, rows, first_row, first_column, split, row_offset);
}

// Adds the splits of an output in order.
template <int L, class T>
__global__ void add_splits_kernel(Output<T> output, int splits) {
  const int64_t at = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) * L;
  if (at >= output.count) return;
  real sums[L] = {};
  for (int split = 0; split < splits; split++) {
    const auto part = load_pack<L>(output.partial + split * output.count + at);
    UNROLL
    for (int j = 0; j < L; j++) sums[j] += part.lane[j];
  }
  const int64_t column = at % output.columns;
  output.template finish<L>(at - column, static_cast<int>(column), sums);
}

template <class T>
void add_splits(Stream stream, const Output<T>& output, int splits) {
  constexpr int kThreads = 256;
  const auto blocks = [&](int lanes) {
    return dim3(static_cast<unsigned>(divide_up(output.count, int64_t{kThreads} * lanes)));
  };
  if (output.packed)
    LAUNCH((add_splits_kernel<kVector, T>), blocks(kVector), kThreads, 0, stream, output, splits);
  else
    LAUNCH((add_splits_kernel<1, T>), blocks(1), kThreads, 0, stream, output, splits);
}

// ---- Choice of tiles. ----------------------------------------------------------------------------------------------

using Tile128x64 = TileShape<128, 64, 8>;
using Tile64x64 = TileShape<64, 64, 8, sizeof(real) == 8 ? 4 : 8>;  // 64 sums in f64 would spill
using Tile32x32 = TileShape<32, 32, 4>;
// Without packs a thread fetches single elements and holds an address for each, so fewer registers are left for
// sums.
using ScalarTile64x64 = TileShape<64, 64, 8, 4>;

// Whether rows of `width` elements that begin at these addresses can be accessed in packs of kVector.
template <class... T>
bool packs_of_vector_fit(int64_t width, const T*... start) {
  return width % kVector == 0 && ((reinterpret_cast<uintptr_t>(start) % (kVector * sizeof(T)) == 0) && ...);
}

struct ProductPlan {
  int tile_m = 0, tile_n = 0;
  int splits = 1;
  int chunk = 0;  // depth of a split, a multiple of kDepth

  size_t workspace_bytes(int64_t count) const {
    return splits > 1 ? static_cast<size_t>(splits) * static_cast<size_t>(count) * sizeof(real) : 0;
  }
};

// The plan with the least estimated time on a card of 132 multiprocessors. It is the same for all cards, because the
// plan determines the order of sums. `classes` products of this size run in one launch. packed: all rows can be read in
// packs of kVector; otherwise only small tiles are used.
inline ProductPlan plan_product(int64_t m, int64_t n, int64_t depth, int classes, bool packed) {
  struct Candidate {
    int m, n, threads;
    double efficiency;  // of the inner loop, relative to the peak
  };
  const Candidate candidates[] = {
      {128, 64, Tile128x64::kThreads, 0.9}, {64, 64, Tile64x64::kThreads, 0.8}, {32, 32, Tile32x32::kThreads, 0.45}};
  constexpr double kProcessors = 132, kFullThreads = 256;  // threads that fill a multiprocessor's pipes
  constexpr double kClocksPerSum = sizeof(real) == 8 ? 1.0 / 64 : 1.0 / 128;
  constexpr double kSecondLaunch = 6000, kBytesPerClock = 2200;  // clocks; bytes of the card's memory per clock
  constexpr int64_t kSmallestChunk = 128;
  ProductPlan best;
  double best_clocks = 0;
  for (const Candidate& c : candidates) {
    if (!packed && c.m > ScalarTile64x64::kM) continue;
    const int64_t tiles = divide_up(m, c.m) * divide_up(n, c.n);
    for (int64_t splits = 1; splits <= 512; splits += splits < 8 ? 1 : splits / 4) {
      const int64_t chunk = divide_up(divide_up(depth, splits), kDepth) * kDepth;
      if (splits > 1 && chunk < kSmallestChunk) break;
      const double blocks = std::max(1.0, std::ceil(static_cast<double>(tiles * classes * splits) / kProcessors));
      const double filled = std::min(1.0, blocks * c.threads / kFullThreads);
      double clocks = blocks * c.m * c.n * static_cast<double>(chunk) * kClocksPerSum / (c.efficiency * filled);
      if (splits > 1)
        clocks += kSecondLaunch + 2.0 * sizeof(real) * static_cast<double>(splits * m * n * classes) / kBytesPerClock;
      if (best.tile_m != 0 && clocks >= best_clocks) continue;
      best_clocks = clocks;
      best = {c.m, c.n, static_cast<int>(divide_up(depth, chunk)), static_cast<int>(chunk)};
    }
  }
  return best;
}

// Calls body<Shape, Lanes>() for the plan's tile. A plan for packs runs without them if the addresses are not aligned.
template <class Body>
void with_tile(const ProductPlan& plan, bool packed, const Body& body) {
  if (!packed && plan.tile_m >= ScalarTile64x64::kM) return body.template operator()<ScalarTile64x64, 1>();
  if (!packed) return body.template operator()<Tile32x32, 1>();
  if (plan.tile_m == 128) return body.template operator()<Tile128x64, kVector>();
  if (plan.tile_m == 64) return body.template operator()<Tile64x64, kVector>();
  body.template operator()<Tile32x32, kVector>();
}

// One block per tile and z. Adjacent blocks have the same rows, so that these are read from memory once.
template <class Shape>
dim3 product_grid(int64_t m, int64_t n, int64_t z) {
  const int64_t tiles = divide_up(m, Shape::kM) * divide_up(n, Shape::kN);
  KERNEL_CHECK(tiles < (int64_t{1} << 31) && z < (1 << 16), "at most 2^31 tiles");
  return dim3(static_cast<unsigned>(tiles), 1, static_cast<unsigned>(z));
}

}  // namespace mpanet::PRECISION::KERNEL_NS
