// The output of the tiles of wgmma_tile.cuh, from the sums in registers.
//
//   16-bit results   each warp converts 16 rows of 64 columns (a patch), stores them to its room in shared memory, and
//                    one of its threads starts their copy (TMA) to the output. What a result depends on besides its sum
//                    (the output before it, a residual, the norms' inputs) comes as patches through the same stages as
//                    the factors: the producer has loaded them while the last steps were multiplied
//   floats           stores of 8 bytes, four lanes a sector: of splits, and of weights' gradients
//
// Warps wait for each other only to merge the sums of fragment_sums.cuh, and a warp for its own last copy.
#pragma once
#include "kernels/cuda/product.cuh"
#include "kernels/cuda/sm90/fragment_sums.cuh"
#include "kernels/cuda/sm90/ptx90.cuh"
#include "kernels/cuda/sm90/wgmma_memory.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

// The address of a lane's row of the four matrices that stmatrix and ldmatrix move at once: 16 rows of the patch, 16
// columns from an 8-column chunk on. The order of registers is that of a fragment, at[j][h], at[j + 1][h].
template <class Byte>
__device__ __forceinline__ Byte* patch_row(Byte* patch, int chunk) {
  const int row = lane_of_warp() % 16;
  return patch + row * kRowBytes + ((chunk + lane_of_warp() / 16) ^ row % 8) * 16;
}

// 32 columns of a patch: the first ones, or the last.
__device__ __forceinline__ void load_fragment(const unsigned char* patch, int half, Fragment<real>& to) {
  UNROLL
  for (int j = 0; j < 4; j += 2) {
    uint32_t two[4];
    ldmatrix(two, patch_row(patch, 4 * half + j));
    UNROLL
    for (int i = 0; i < 4; i++) unpack(std::bit_cast<Pack<storage, 2>>(two[i]), to[j + i / 2][i % 2]);
  }
}
// Stores results, and rounds them to what is stored.
__device__ __forceinline__ void store_fragment(unsigned char* patch, int half, Fragment<real>& results) {
  UNROLL
  for (int j = 0; j < 4; j += 2) {
    uint32_t two[4];
    UNROLL
    for (int i = 0; i < 4; i++) {
      real(&pair)[2] = results[j + i / 2][i % 2];
      const auto stored = pack_of<storage>(pair);
      two[i] = std::bit_cast<uint32_t>(stored);
      unpack(stored, pair);
    }
    stmatrix(patch_row(patch, 4 * half + j), two);
  }
}

// act(scale * sum + shift + residual) of Output, for 32 columns from `column` on.
__device__ __forceinline__ void transform_fragment(const Output<storage>& output, int column, bool has_residual,
                                                   const Fragment<real>& residual, Fragment<real>& results) {
  UNROLL
  for (int j = 0; j < 4; j++) {
    const int own = column + 8 * j + lane_of_warp() % 4 * 2;
    if (own >= output.columns) continue;
    Pack<real, 2> scale{{1, 1}}, shift{};
    if (output.scale != nullptr) scale = load_pack<2>(output.scale + own);
    if (output.shift != nullptr) shift = load_pack<2>(output.shift + own);
    UNROLL
    for (int h = 0; h < 2; h++) {
      UNROLL
      for (int e = 0; e < 2; e++) {
        real& result = results[j][h][e];
        result = result * scale.lane[e] + shift.lane[e];
        if (has_residual) result += residual[j][h][e];
        if (output.relu) result = rectify(result);
      }
    }
  }
}

// A ReLU's mask for the patches of a warp, see Gates.
template <class Shape>
struct TileGates {
  static constexpr int kPatches = Shape::kRowBlocks * Shape::kGroupN / kPatchColumns;
  uint2 words[kPatches][2];

  __device__ Gates of(int patch, int half) const {
    const int first = lane_of_warp() % 4 * 2;
    const uint2(&rows)[2] = words[patch];
    return half == 0 ? Gates{{rows[0].x >> first, rows[1].x >> first}}
                     : Gates{{rows[0].y >> first, rows[1].y >> first}};
  }
};
struct NoGates {
  __device__ Gates of(int, int) const { return {}; }
};
// The bits of 64 columns from `column` on, in the row that begins at `offset`. Bits of columns that do not exist are 0.
__device__ __forceinline__ uint2 load_gate_bits(const uint8_t* signs, int64_t offset, int column, int columns) {
  const uint8_t* const from = signs + (offset + column) / 8;
  if (columns % kPatchColumns == 0) return *reinterpret_cast<const uint2*>(from);
  uint2 bits{};
  for (int byte = 0; byte < 4; byte++) {
    if (column + 8 * byte < columns) bits.x |= uint32_t{from[byte]} << 8 * byte;
    if (column + 32 + 8 * byte < columns) bits.y |= uint32_t{from[4 + byte]} << 8 * byte;
  }
  return bits;
}

// The patches of a group of columns that have arrived: the norms' inputs or the residual, then the output before.
template <class Shape, int kMost>
struct ArrivedPatches {
  const unsigned char* patch[kMost];
  int stage[kMost];

  __device__ __forceinline__ void wait(WgmmaMemory<Shape>& memory, Turn<Shape>& turn, int count) {
    UNROLL
    for (int i = 0; i < kMost; i++) {
      if (i >= count) break;
      mbarrier_wait(memory.full[turn.stage], turn.parity);
      stage[i] = turn.stage;
      patch[i] = memory.stage[turn.stage].left + static_cast<int>(threadIdx.x) / kWarp * kPatchBytes;
      turn.advance();
    }
  }
  // By one lane, after all have read them.
  __device__ __forceinline__ void release(WgmmaMemory<Shape>& memory, int count) {
    UNROLL
    for (int i = 0; i < kMost; i++)
      if (i < count) mbarrier_arrive(memory.empty[stage[i]]);
  }
};

// Merges the warps' sums of columns first_column, + 1, ... of the output. All threads of the warpgroup must call.
template <class Shape, class Sums>
__device__ __forceinline__ void merge_warps(WgmmaMemory<Shape>& memory, const Sums& sums, int64_t part, int columns,
                                            int first_column, int count) {
  warpgroup_barrier(1 + Shape::group());
  for (int column = static_cast<int>(threadIdx.x) % kWarpgroup; column < count && first_column + column < columns;
       column += kWarpgroup) {
    real values[Sums::kValues][kGroupWarps];
    UNROLL
    for (int v = 0; v < Sums::kValues; v++) {
      UNROLL
      for (int warp = 0; warp < kGroupWarps; warp++)
        values[v][warp] = memory.sums[Shape::group()][(v * kGroupWarps + warp) * count + column];
    }
    sums.write(part, columns, first_column + column, values);
  }
  warpgroup_barrier(1 + Shape::group());
}

// What emit_pixels() reads besides sums, in this order: inputs of norms or a residual, and the output before.
struct PatchInputs {
  int others;
  bool adds;

  template <class Sums>
  __device__ static PatchInputs of(const Output<storage>& output) {
    const bool has_residual = Sums::kValues == 0 && output.residual != nullptr;
    return {Sums::kNorms + has_residual, output.write == Write::Add};
  }
  __device__ int count() const { return others + adds; }
};

// Half of a patch, 32 columns from `column` on: makes results of the sums, stores them to the room, and computes `own`,
// the sums of the lane's column.
template <class Sums, class Arrived, int kValues>
__device__ __forceinline__ void emit_fragment(const float* from, const Output<storage>& output, const Arrived& arrived,
                                              const PatchInputs& inputs, int column, int half, const Gates& gates,
                                              unsigned char* room, const Sums& sums, real (&own)[kValues]) {
  constexpr int kOthers = max(Sums::kNorms, 1);
  Fragment<real> results, other[kOthers];
  UNROLL
  for (int j = 0; j < kFragmentSums; j++) results[j / 4][j / 2 % 2][j % 2] = from[j];
  UNROLL
  for (int k = 0; k < kOthers; k++)
    if (k < inputs.others) load_fragment(arrived.patch[k], half, other[k]);
  if constexpr (Sums::kValues == 0) transform_fragment(output, column, inputs.others > 0, other[0], results);
  if (inputs.adds) {
    Fragment<real> before;
    load_fragment(inputs.others == 0 ? arrived.patch[0] : arrived.patch[kOthers], half, before);
    UNROLL
    for (int j = 0; j < kFragmentSums; j++) results[j / 4][j / 2 % 2][j % 2] += before[j / 4][j / 2 % 2][j % 2];
  }
  sums.gate(results, gates);
  if (half == 0) {  // the room is free again
    if (lane_of_warp() == 0) tma_store_wait_read();
    __syncwarp();
  }
  store_fragment(room, half, results);
  if constexpr (Sums::kValues > 0) sums.reduce(results, other, column, own);
}

// Writes a tile of 16-bit results. All threads of the consumers must call. sums: of fragment_sums.cuh.
template <class Pass, class Shape, class TileGates, class Sums>
__device__ __forceinline__ void emit_pixels(WgmmaMemory<Shape>& memory, const WgmmaSums<Shape>& tile_sums,
                                            const Pass& pass, const WgmmaTile& tile, const Output<storage>& output,
                                            const TileGates& gates, Turn<Shape>& turn, Sums sums) {
  constexpr int kAcross = Shape::kGroupN / kPatchColumns, kValues = max(Sums::kValues, 1);
  // Columns whose sums have room in shared memory until they are merged.
  constexpr int kSumColumns =
      min(Shape::kGroupN, Sums::kValues > 0 ? kSumRoom / (kValues * kGroupWarps * 64) * 64 : kPatchColumns);
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  unsigned char* const room = memory.room[warp];
  const auto inputs = PatchInputs::of<Sums>(output);
  UNROLL
  for (int i = 0; i < Shape::kRowBlocks * kAcross; i++) {
    const int row = tile.row + Shape::group_row() + i / kAcross * kPartRows;
    const int column = tile.column + Shape::group_column() + i % kAcross * kPatchColumns;
    if (i % kAcross == 0) sums.begin(min(max(pass.rows(tile) - row, 0), kPartRows));
    ArrivedPatches<Shape, max(Sums::kNorms, 1) + 1> arrived;
    arrived.wait(memory, turn, inputs.count());
    UNROLL
    for (int half = 0; half < 2; half++) {
      real own[kValues];
      emit_fragment(tile_sums.at[i / kAcross] + (i % kAcross * 2 + half) * kFragmentSums, output, arrived, inputs,
                    column + half * kFragmentColumns, half, gates.of(i, half), room, sums, own);
      const int at = (i % kAcross * 2 + half) * kFragmentColumns % kSumColumns + owned_column();
      UNROLL
      for (int v = 0; v < Sums::kValues; v++)
        memory.sums[Shape::group()][(v * kGroupWarps + warp % kGroupWarps) * kSumColumns + at] = own[v];
    }
    shared_accesses_to_copies();
    __syncwarp();
    if (lane_of_warp() == 0) {
      arrived.release(memory, inputs.count());
      const auto [n, y, x] = pass.pixel(tile, row + warp % kGroupWarps * kWarpRows);
      tma_store_4d(pass.output_map(tile), room, column, x, y, n);
      tma_store_commit();
    }
    if constexpr (Sums::kValues > 0) {
      const int first = (i % kAcross + 1) * kPatchColumns - kSumColumns;
      if ((i % kAcross + 1) * kPatchColumns % kSumColumns == 0 && pass.has_part(tile, row))
        merge_warps(memory, sums, pass.template part<Shape>(tile, row), output.columns,
                    tile.column + Shape::group_column() + first, kSumColumns);
    }
  }
}

// Starts the copies of what emit_pixels() waits for, in its order. By one thread of the producer.
template <class Pass, class Shape>
__device__ __forceinline__ void load_patches(WgmmaMemory<Shape>& memory, const Pass& pass, const WgmmaTile& tile,
                                             const Output<storage>& output, Turn<Shape>& turn) {
  constexpr int kAcross = Shape::kGroupN / kPatchColumns;
  const int others = pass.others(output), inputs = others + (output.write == Write::Add);
  ONE_BY_ONE
  for (int i = 0; i < Shape::kRowBlocks * kAcross; i++) {
    ONE_BY_ONE
    for (int input = 0; input < inputs; input++) {
      mbarrier_wait(memory.empty[turn.stage], turn.parity ^ 1);
      mbarrier_expect(memory.full[turn.stage], kConsumerWarps * kPatchBytes);
      ONE_BY_ONE
      for (int warp = 0; warp < kConsumerWarps; warp++) {
        const int group = warp / kGroupWarps;
        const int row = tile.row + group % Shape::kDown * Shape::kGroupM + i / kAcross * kPartRows;
        const int column = tile.column + group / Shape::kDown * Shape::kGroupN + i % kAcross * kPatchColumns;
        const auto [n, y, x] = pass.pixel(tile, row + warp % kGroupWarps * kWarpRows);
        tma_load_4d(memory.stage[turn.stage].left + warp * kPatchBytes,
                    input < others ? pass.other_map(tile, input) : pass.output_map(tile), memory.full[turn.stage],
                    column, x, y, n);
      }
      turn.advance();
    }
  }
}

// Writes a tile of floats: sums of a split, or results. All threads of the consumers must call.
template <class Pass, class Shape, class T>
__device__ __forceinline__ void emit_floats(const WgmmaSums<Shape>& tile_sums, const Pass& pass, const WgmmaTile& tile,
                                            const Output<T>& output) {
  constexpr int kColumns = 8, kBoxChunks = kBoxDepth / kColumns;  // of a chunk; chunks of a run
  const int lane = lane_of_warp(), warp = static_cast<int>(threadIdx.x) / kWarp % kGroupWarps;
  const int first_row = tile.row + Shape::group_row() + warp * kWarpRows + lane / 4;
  real* const partial = output.partial + tile.split * output.count;
  UNROLL
  for (int j = 0; j < Shape::kGroupN / kColumns; j++) {
    const ColumnRun run = pass.columns_from(tile.column + Shape::group_column() + j / kBoxChunks * kBoxDepth);
    const int column = j % kBoxChunks * kColumns + lane % 4 * 2;
    if (column >= run.count) continue;
    UNROLL
    for (int i = 0; i < 2 * Shape::kRowBlocks; i++) {
      const int row = first_row + i / 2 * kPartRows + i % 2 * 8;
      if (row >= pass.rows(tile)) continue;
      const int64_t offset = pass.row_offset(tile, row);
      const float* const two = tile_sums.at[i / 2] + 4 * j + i % 2 * 2;
      const Pack<real, 2> pack{{two[0], two[1]}};
      if (output.partial != nullptr)
        store_pack(partial + offset + run.at + column, pack);
      else if constexpr (std::is_same_v<T, real>)
        output.template finish<2>(offset, run.at + column, pack.lane);
    }
  }
}

}  // namespace mpanet::PRECISION::KERNEL_NS
