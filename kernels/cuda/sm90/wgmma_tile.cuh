// Tiles of a matrix product on sm_90a: TMA, an mbarrier pipeline, wgmma. As tensor_tile.cuh, with 16-bit factors and
// float sums.
//
//   block       one on each multiprocessor, it computes tiles blockIdx.x, + gridDim.x, ...
//   producer    one thread: for each step, waits until its stage is empty and starts the copies. The other threads of
//               its warpgroup only leave their registers to the consumers.
//   consumers   two warpgroups with half of a tile each: for each step, wait until the stage is full and multiply; a
//               stage is empty when all their warps have read it
//
// The producer runs ahead into the next tile while the consumers write a tile (wgmma_epilogue.cuh). A step is 64
// elements of the depth.
//
// A panel, one factor's part of a step, consists of boxes of 128-byte rows in which chunk c of row r is at c ^ r % 8
// (the 128-byte swizzle), eight rows of 1,024 bytes an atom. The factor is contiguous either
//
//   along the depth    one box, a row is one element of the width: atoms follow each other along the width; the next 16
//                      elements of the depth begin 32 bytes later
//   along the width    a box for every 64 elements of the width, a row is one element of the depth: atoms follow each
//                      other along the depth, the next 16 elements of the depth begin 2 atoms later
//
// and 64 elements of the width are 8 KiB in both, so that the same offsets address a warpgroup's part.
#pragma once
#include "kernels/cuda/sm90/wgmma_epilogue.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

// The descriptor of a factor's part of a panel: 16 elements of the depth, from an address on. Offsets are in units of
// 16 bytes: between boxes along the width (ignored along the depth), and between atoms; the mode is the 128-byte
// swizzle.
__device__ inline uint64_t describe(const unsigned char* panel) {
  constexpr uint64_t kMode = uint64_t{1} << 62, kAtom = uint64_t{1024 / 16} << 32,
                     kBox = uint64_t{kBoxBytes / 16} << 16;
  return kMode | kAtom | kBox | (shared_address(panel) & 0x3ffffu) >> 4;
}
template <bool kAlongDepth>
constexpr uint64_t kNextDepth = (kAlongDepth ? 32 : 2048) / 16;
constexpr uint64_t kNextBox = kBoxBytes / 16;

// Adds one step to the sums.
template <class Shape, bool kLeftAlongDepth, bool kRightAlongDepth>
__device__ __forceinline__ void multiply_boxes(const typename WgmmaMemory<Shape>::Stage& stage,
                                               WgmmaSums<Shape>& sums) {
  const uint64_t left = describe(stage.left + Shape::group_row() / 64 * kBoxBytes);
  const uint64_t right = describe(stage.right + Shape::group_column() / 64 * kBoxBytes);
  UNROLL
  for (int k = 0; k < kBoxDepth / 16; k++) {
    UNROLL
    for (int i = 0; i < Shape::kRowBlocks; i++)
      wgmma<storage, !kLeftAlongDepth, !kRightAlongDepth>(
          sums.at[i], left + k * kNextDepth<kLeftAlongDepth> + i * kNextBox, right + k * kNextDepth<kRightAlongDepth>);
  }
}

template <class Shape>
__device__ __forceinline__ void hold(WgmmaSums<Shape>& sums) {
  UNROLL
  for (int i = 0; i < Shape::kRowBlocks; i++) {
    UNROLL
    for (int j = 0; j < Shape::kGroupN / 2; j++) wgmma_register(sums.at[i][j]);
  }
}

// Sums a tile. All threads of the consumers must call. One step's instructions are in flight while the next step is
// waited for.
template <class Pass, class Shape>
__device__ __forceinline__ void multiply_tile(WgmmaMemory<Shape>& memory, int steps, Turn<Shape>& turn,
                                              WgmmaSums<Shape>& sums) {
  const bool first_lane = threadIdx.x % kWarp == 0;
  UNROLL
  for (int i = 0; i < Shape::kRowBlocks; i++) {
    UNROLL
    for (int j = 0; j < Shape::kGroupN / 2; j++) sums.at[i][j] = 0;
  }
  hold(sums);
  int before = 0;
  ONE_BY_ONE
  for (int step = 0; step < steps; step++) {
    mbarrier_wait(memory.full[turn.stage], turn.parity);
    wgmma_fence();
    multiply_boxes<Shape, Pass::kLeftAlongDepth, Pass::kRightAlongDepth>(memory.stage[turn.stage], sums);
    wgmma_commit();
    wgmma_wait<1>();
    if (step > 0 && first_lane) mbarrier_arrive(memory.empty[before]);
    before = turn.stage;
    turn.advance();
  }
  wgmma_wait<0>();
  hold(sums);
  if (steps > 0 && first_lane) mbarrier_arrive(memory.empty[before]);
}

// Computes the tiles of a launch. A Pass has
//   kLeftAlongDepth, kRightAlongDepth   whether the depth is contiguous in the factors
//   TileList tiles                      the tiles of all products
//   int rows(tile), last_step(tile)     rows of the tile's product, and its steps
//   load<Shape>(tile, step, stage, barrier)   starts the copies of a step, kStageBytes in all
//   int64_t row_offset(tile, row)       index in the output of a row of C
//   ColumnRun columns_from(column)      the columns of C from a multiple of 64 on, in a row of the output
// and for 16-bit results
//   pixel(tile, row), output_map(tile)  where 16 rows begin in the tensor map of the output
//   int others(output), other_map(tile, i)   inputs of the epilogue besides the output before, as patches
//   load_gates<Shape>(tile), with_sums(body)   a ReLU's mask; calls body(sums), of fragment_sums.cuh
//   has_part(tile, row), part<Shape>(tile, row)   of the sums of 64 rows
template <class Pass>
__device__ int steps_of(const Pass& pass, const WgmmaTile& tile) {  // may be negative: none
  return tile.row < pass.rows(tile) ? min(tile.end, pass.last_step(tile)) - tile.begin : 0;
}

template <class Shape, class Pass, class T>
__device__ __forceinline__ void compute_tiles(const Pass& pass, const Output<T>& output) {
  constexpr bool kPixels = std::is_same_v<T, storage>;
  auto& memory = aligned_shared_memory<WgmmaMemory<Shape>>();
  const int count = pass.tiles.count();
  if (threadIdx.x == 0) {
    if (shared_address(&memory) % alignof(WgmmaMemory<Shape>) != 0) __trap();  // descriptors would name other rows
    for (int i = 0; i < Shape::kStages; i++) {
      mbarrier_init(memory.full[i], 1);
      mbarrier_init(memory.empty[i], kConsumerWarps);
    }
    mbarrier_init_fence();
  }
  __syncthreads();
  Turn<Shape> turn;
  if (threadIdx.x >= kConsumers * kWarpgroup) {
    decrease_registers<kProducerRegisters>();
    if (threadIdx.x != kConsumers * kWarpgroup) return;
    for (int index = static_cast<int>(blockIdx.x); index < count; index += static_cast<int>(gridDim.x)) {
      const WgmmaTile tile = pass.tiles.template tile<Shape>(index);
      const int end = tile.begin + steps_of(pass, tile);
      for (int step = tile.begin; step < end; step++) {
        mbarrier_wait(memory.empty[turn.stage], turn.parity ^ 1);
        mbarrier_expect(memory.full[turn.stage], Shape::kStageBytes);
        pass.template load<Shape>(tile, step, memory.stage[turn.stage], memory.full[turn.stage]);
        turn.advance();
      }
      if constexpr (kPixels)
        if (output.partial == nullptr) load_patches(memory, pass, tile, output, turn);
    }
    return;
  }
  increase_registers<kConsumerRegisters>();
  for (int index = static_cast<int>(blockIdx.x); index < count; index += static_cast<int>(gridDim.x)) {
    const WgmmaTile tile = pass.tiles.template tile<Shape>(index);
    WgmmaSums<Shape> sums;
    if constexpr (kPixels) {
      const auto gates = pass.template load_gates<Shape>(tile);  // before the product, which hides the wait
      multiply_tile<Pass>(memory, steps_of(pass, tile), turn, sums);
      if (output.partial == nullptr) {
        pass.with_sums([&](const auto& kind) { emit_pixels(memory, sums, pass, tile, output, gates, turn, kind); });
        continue;
      }
    } else {
      multiply_tile<Pass>(memory, steps_of(pass, tile), turn, sums);
    }
    emit_floats(sums, pass, tile, output);
  }
  if (kPixels && lane_of_warp() == 0) tma_store_wait_read();
}

}  // namespace mpanet::PRECISION::KERNEL_NS
