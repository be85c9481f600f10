// Products with the tiles of tile.cuh and tensor_tile.cuh: a dense factor, and the output of sums.
//
// A product with too few tiles to fill a card is also split along its depth. Each split writes its sums to the
// workspace (splits, rows, columns), and a second kernel adds them in order, so that two runs give the same bits.
#pragma once
#include "kernels/cuda/tensor_tile.cuh"
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
  bool packed = false;      // rows can be accessed in packs of kFull<T>
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

// The same in packs if output.packed. Lanes: of the product's factors; with full packs the output always has packs too.
template <int Lanes, class Shape, class T, class RowOffset>
__device__ void emit_tile(const TileSums<Shape>& sums, const Output<T>& output, int rows, int first_row,
                          int first_column, int split, const RowOffset& row_offset) {
  if (Lanes > 1 || output.packed)
    emit_packs<kFull<T>>(sums, output, rows, first_row, first_column, split, row_offset);
  else if constexpr (Lanes == 1)
    emit_packs<1>(sums, output, rows, first_row, first_column, split, row_offset);
}

// The columns of a tile that are columns of the output.
struct Columns {
  int count;
  __device__ int operator()(int column) const { return column < count ? column : -1; }
};

// Calls body(offset, column, sums) for every L columns of a tile in shared memory that are columns of the output; a
// thread always has the same columns. column_at(column): like Columns, the index in a row of the output of a column of
// C, or -1.
template <int L, class Shape, class RowOffset, class ColumnAt, class Body>
__device__ void each_sums(const TensorMemory<Shape>& memory, int rows, int first_row, int first_column,
                          const RowOffset& row_offset, const ColumnAt& column_at, const Body& body) {
  constexpr int kPacks = Shape::kN / L, kRowStep = Shape::kThreads / kPacks;
  static_assert(kRowStep * kPacks == Shape::kThreads);
  const int thread = static_cast<int>(threadIdx.x), column = thread % kPacks * L;
  const int at = column_at(first_column + column);
  if (at < 0) return;
  for (int row = thread / kPacks; row < Shape::kM && first_row + row < rows; row += kRowStep) {
    Pack<real, L> sums;
    load_sums(memory, row, column, sums.lane);
    body(row_offset(first_row + row), at, sums);
  }
}

// Writes a tile of tensor cores, in packs of 16 bytes if output.packed. All threads of the block must call. Statistics
// of the tile's values would be computed after the barrier, from shared memory.
template <int Lanes, class Shape, class T, class RowOffset, class ColumnAt>
__device__ void emit_tile(TensorMemory<Shape>& memory, const TensorSums<Shape>& sums, const Output<T>& output, int rows,
                          int first_row, int first_column, int split, const RowOffset& row_offset,
                          const ColumnAt& column_at) {
  store_sums(memory, sums);
  __syncthreads();
  const auto emit = [&]<int kResult, int kPartial>() {
    if (output.partial == nullptr) {
      each_sums<kResult>(memory, rows, first_row, first_column, row_offset, column_at,
                         [&](int64_t offset, int column, const Pack<real, kResult>& values) {
                           output.template finish<kResult>(offset, column, values.lane);
                         });
    } else {
      real* const to = output.partial + split * output.count;
      each_sums<kPartial>(memory, rows, first_row, first_column, row_offset, column_at,
                          [&](int64_t offset, int column, const Pack<real, kPartial>& values) {
                            store_pack(to + offset + column, values);
                          });
    }
  };
  if (Lanes == kFull<storage> || output.packed)
    emit.template operator()<kFull<T>, kFull<real>>();
  else if constexpr (Lanes != kFull<storage>)
    emit.template operator()<1, 1>();
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
  constexpr int kLanes = kFull<real>;  // the sums are the most bytes
  if (output.packed)
    LAUNCH((add_splits_kernel<kLanes, T>), blocks(kLanes), kThreads, 0, stream, output, splits);
  else
    LAUNCH((add_splits_kernel<1, T>), blocks(1), kThreads, 0, stream, output, splits);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
