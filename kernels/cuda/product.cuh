// Products with the tiles of tile.cuh and tensor_tile.cuh: a dense factor, and the output of sums.
//
// A product with too few tiles to fill a card is also split along its depth. Each split writes its sums to the
// workspace (splits, rows, columns), and a second kernel adds them in order, so that two runs give the same bits.
#pragma once
#include "kernels/cuda/tensor_tile.cuh"
#include "kernels/cuda/tile.cuh"
#include "kernels/cuda/tile_sums.cuh"

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

  // What a result depends on besides its sum.
  template <int L>
  struct Inputs {
    Pack<T, L> before = {}, added = {};
  };
  template <int L, bool kPlain = false>
  __device__ Inputs<L> load_inputs(int64_t at) const {
    Inputs<L> inputs;
    if (write == Write::Add) inputs.before = load_pack<L>(to + at);
    if (!kPlain && residual != nullptr) inputs.added = load_pack<L>(residual + at);
    return inputs;
  }
  // Makes results of L sums, of the columns from `column` on. kPlain: without scale, shift, residual and ReLU.
  template <int L, bool kPlain = false>
  __device__ void complete(const Inputs<L>& inputs, int column, real (&sums)[L]) const {
    if constexpr (!kPlain) transform(inputs, column, sums);
    if (write == Write::Set) return;
    real before[L];
    unpack(inputs.before, before);
    UNROLL
    for (int j = 0; j < L; j++) sums[j] = before[j] + sums[j];
  }
  template <int L>
  __device__ void transform(const Inputs<L>& inputs, int column, real (&sums)[L]) const {
    const auto each = [&](const auto& change) {
      UNROLL
      for (int j = 0; j < L; j++) change(sums[j], j);
    };
    if (scale != nullptr) each([&](real& sum, int j) { sum *= scale[column + j]; });
    if (shift != nullptr) each([&](real& sum, int j) { sum += shift[column + j]; });
    if (residual != nullptr) {
      real added[L];
      unpack(inputs.added, added);
      each([&](real& sum, int j) { sum += added[j]; });
    }
    if (relu) each([](real& sum, int) { sum = rectify(sum); });
  }
  // Writes L columns from `column` on, of the row that begins at `offset`.
  template <int L>
  __device__ void finish(int64_t offset, int column, const real* sums) const {
    const int64_t at = offset + column;
    real results[L];
    UNROLL
    for (int j = 0; j < L; j++) results[j] = sums[j];
    complete<L>(load_inputs<L>(at), column, results);
    store_pack(to + at, pack_of<T>(results));
  }
  // The same with what a TileSum's State computes of the results. Overwrites the sums.
  template <int L, class State>
  __device__ void finish(const Inputs<L>& inputs, const typename State::Inputs& others, State& state, int64_t at,
                         int column, real (&sums)[L]) const {
    complete<L, State::kSums>(inputs, column, sums);
    state.gate(sums, others);
    const Pack<T, L> stored = pack_of<T>(sums);
    store_pack(to + at, stored);
    if constexpr (State::kSums) {
      unpack(stored, sums);
      state.add(sums, others);
    }
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

// Writes results column by column, and computes tile_sums (tile_sums.cuh) of what is stored.
template <int L, class Shape, class T, class RowOffset, class TileSum>
__device__ void emit_summed(TileMemory<Shape>& memory, const TileSums<Shape>& sums, const Output<T>& output, int rows,
                            int first_row, int first_column, const RowOffset& row_offset, const TileSum& tile_sums) {
  using State = typename TileSum::template State<L>;
  constexpr int kGroups = Shape::kM / Shape::kRows;
  static_assert(TileSum::kValues * kGroups * Shape::kN <= sizeof(memory) / sizeof(real));
  real* const shared = reinterpret_cast<real*>(&memory);
  const int row = first_row + Shape::row(), column = Shape::column(), group = Shape::row_group();
  UNROLL
  for (int j = 0; j < Shape::kColumns; j += L) {
    const int own = column + Shape::column_of(j), at = first_column + own < output.columns ? first_column + own : -1;
    State state(tile_sums, at);
    UNROLL
    for (int i = 0; i < Shape::kRows; i++) {
      if (at < 0 || row + Shape::row_of(i) >= rows) continue;
      const int64_t index = row_offset(row + Shape::row_of(i)) + at;
      real results[L];
      UNROLL
      for (int e = 0; e < L; e++) results[e] = sums.at[i][j + e];
      output.finish(output.template load_inputs<L, State::kSums>(index), state.load_inputs(index), state, index, at,
                    results);
    }
    state.template keep<Shape::kN, kGroups>(shared, group, own);
  }
  __syncthreads();
  tile_sums.template merge<Shape::kN, kGroups>(shared, first_column, static_cast<int>(threadIdx.x), Shape::kThreads);
}

// As emit_tile() above, with tile_sums. All threads of the block must call.
template <int Lanes, class Shape, class T, class RowOffset, class TileSum>
__device__ void emit_tile(TileMemory<Shape>& memory, const TileSums<Shape>& sums, const Output<T>& output, int rows,
                          int first_row, int first_column, int split, const RowOffset& row_offset,
                          const TileSum& tile_sums) {
  if constexpr (TileSum::kValues == 0)
    emit_tile<Lanes>(sums, output, rows, first_row, first_column, split, row_offset);
  else if (Lanes > 1 || output.packed)
    emit_summed<kFull<T>>(memory, sums, output, rows, first_row, first_column, row_offset, tile_sums);
  else if constexpr (Lanes == 1)
    emit_summed<1>(memory, sums, output, rows, first_row, first_column, row_offset, tile_sums);
}

// The columns of a tile that are columns of the output.
struct Columns {
  int count;
  __device__ int operator()(int column) const { return column < count ? column : -1; }
};

// L adjacent columns of a tile in shared memory, and every kGroups-th row from `group` on: the part of the output that
// a thread writes. column_at(column): like Columns, the index in a row of the output of a column of C, or -1.
template <int L, class Shape>
struct OutputThread {
  static constexpr int kPacks = Shape::kN / L, kGroups = Shape::kThreads / kPacks;
  static_assert(kGroups * kPacks == Shape::kThreads);
  int column, group;
  int at, end;  // index of the column in a row of the output, and the end of the tile's rows if there is such a column

  template <class ColumnAt>
  __device__ OutputThread(int rows, int first_row, int first_column, const ColumnAt& column_at)
      : column(static_cast<int>(threadIdx.x) % kPacks * L),
        group(static_cast<int>(threadIdx.x) / kPacks),
        at(column_at(first_column + column)),
        end(at < 0 ? 0 : min(Shape::kM, rows - first_row)) {}
};

// Writes the sums of a split.
template <int L, class Shape, class T, class RowOffset, class ColumnAt>
__device__ void emit_partial(const TensorMemory<Shape>& memory, const Output<T>& output, int rows, int first_row,
                             int first_column, int split, const RowOffset& row_offset, const ColumnAt& column_at) {
  using Own = OutputThread<L, Shape>;
  const Own own(rows, first_row, first_column, column_at);
  real* const to = output.partial + split * output.count + own.at;
  for (int row = own.group; row < own.end; row += Own::kGroups) {
    Pack<real, L> sums;
    load_sums(memory, row, own.column, sums.lane);
    store_pack(to + row_offset(first_row + row), sums);
  }
}

// Writes results, and computes tile_sums (tile_sums.cuh) of what is stored. What is read for one row does not wait for
// another row's results.
template <int L, class Shape, class T, class RowOffset, class ColumnAt, class TileSum>
__device__ void emit_results(TensorMemory<Shape>& memory, const Output<T>& output, int rows, int first_row,
                             int first_column, const RowOffset& row_offset, const ColumnAt& column_at,
                             const TileSum& tile_sums) {
  using Own = OutputThread<L, Shape>;
  using State = typename TileSum::template State<L>;
  constexpr int kAtOnce = Shape::kBlocks < 4 ? 2 : 1;  // with four blocks, 128 registers a thread
  const Own own(rows, first_row, first_column, column_at);
  State state(tile_sums, own.at);
  ONE_BY_ONE
  for (int row = own.group; row < own.end; row += kAtOnce * Own::kGroups) {
    const auto exists = [&](int i) { return i == 0 || row + i * Own::kGroups < own.end; };
    int64_t at[kAtOnce];
    typename Output<T>::template Inputs<L> inputs[kAtOnce];
    typename State::Inputs others[kAtOnce];
    UNROLL
    for (int i = 0; i < kAtOnce; i++) {
      if (!exists(i)) continue;
      at[i] = row_offset(first_row + row + i * Own::kGroups) + own.at;
      inputs[i] = output.template load_inputs<L, State::kSums>(at[i]);
      others[i] = state.load_inputs(at[i]);
    }
    UNROLL
    for (int i = 0; i < kAtOnce; i++) {
      if (!exists(i)) continue;
      real sums[L];
      load_sums(memory, row + i * Own::kGroups, own.column, sums);
      output.finish(inputs[i], others[i], state, at[i], own.at, sums);
    }
  }
  if constexpr (TileSum::kValues > 0) {
    static_assert(TileSum::kValues * Own::kGroups * Shape::kN <= sizeof(memory.sums) / sizeof(real));
    __syncthreads();
    state.template keep<Shape::kN, Own::kGroups>(memory.sums, own.group, own.column);
    __syncthreads();
    tile_sums.template merge<Shape::kN, Own::kGroups>(memory.sums, first_column, static_cast<int>(threadIdx.x),
                                                      Shape::kThreads);
  }
}

// Writes a tile of tensor cores, in packs of 16 bytes if output.packed. All threads of the block must call.
template <int Lanes, class Shape, class T, class RowOffset, class ColumnAt, class TileSum = NoTileSums>
__device__ void emit_tile(TensorMemory<Shape>& memory, const TensorSums<Shape>& sums, const Output<T>& output, int rows,
                          int first_row, int first_column, int split, const RowOffset& row_offset,
                          const ColumnAt& column_at, const TileSum& tile_sums = {}) {
  store_sums(memory, sums);
  __syncthreads();
  const auto emit = [&]<int kResult, int kPartial>() {
    if (output.partial == nullptr)
      emit_results<kResult>(memory, output, rows, first_row, first_column, row_offset, column_at, tile_sums);
    else if constexpr (std::is_same_v<TileSum, NoTileSums>)  // those of several splits would be sums of parts
      emit_partial<kPartial>(memory, output, rows, first_row, first_column, split, row_offset, column_at);
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
