// What the loop (wgmma_tile.cuh) and the epilogue (wgmma_epilogue.cuh) of sm_90a's products share: shapes of tiles,
// shared memory, and the order of tiles.
#pragma once
#include "kernels/cuda/product.cuh"
#include "kernels/cuda/sm90/ptx90.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

constexpr int kBoxDepth = 64, kRowBytes = 128, kBoxBytes = kBoxDepth * kRowBytes;  // of 64 elements of the width
constexpr int kWarpgroup = 128, kConsumers = 2, kConsumerWarps = kConsumers * kWarpgroup / kWarp;
// Registers of a thread: the launch bounds leave 168 for each of 384 threads, then the producers' are given to the
// consumers. A block has no more than it was launched with: consumers that asked for more would wait for ever.
constexpr int kLaunchRegisters = 168, kProducerRegisters = 24, kConsumerRegisters = 240;
static_assert(kProducerRegisters + kConsumers * kConsumerRegisters <= (1 + kConsumers) * kLaunchRegisters);

template <int M, int N>
struct WgmmaShape {
  static constexpr int kM = M, kN = N, kThreads = (kConsumers + 1) * kWarpgroup;
  static constexpr int kDown = M >= 128 ? kConsumers : 1, kAcross = kConsumers / kDown;  // arrangement of the consumers
  static constexpr int kGroupM = M / kDown, kGroupN = N / kAcross;
  static constexpr int kRowBlocks = kGroupM / 64;  // instructions of a warpgroup
  static constexpr int kStageBytes = (M + N) * kRowBytes;
  static constexpr int kStages = (192 << 10) / kStageBytes;
  static_assert(kGroupM % 64 == 0 && kGroupN % 64 == 0);

  __device__ static int group() { return static_cast<int>(threadIdx.x) / kWarpgroup; }
  __device__ static int group_row() { return group() % kDown * kGroupM; }
  __device__ static int group_column() { return group() / kDown * kGroupN; }
};

template <class Shape>
struct WgmmaSums {
  float at[Shape::kRowBlocks][Shape::kGroupN / 2];
};

// 16 rows of 64 columns of 16-bit numbers, as TMA's boxes have them. A part of the sums of an epilogue is 64 rows.
constexpr int kGroupWarps = kWarpgroup / kWarp, kWarpRows = 16;
constexpr int kPatchColumns = 64, kPatchBytes = kWarpRows * kRowBytes, kPartRows = kGroupWarps * kWarpRows;
constexpr int kFragmentSums = 16;  // of a lane, for 32 columns of a patch
constexpr int kSumRoom = 2048;     // floats of a warpgroup

template <class Shape>
struct alignas(1024) WgmmaMemory {
  struct Stage {
    unsigned char left[Shape::kM * kRowBytes], right[Shape::kN * kRowBytes];
  };
  Stage stage[Shape::kStages];
  unsigned char room[kConsumerWarps][kPatchBytes];  // results on their way to the output
  float sums[kConsumers][kSumRoom];                 // of fragment_sums.cuh, (values, warps, columns)
  uint64_t full[Shape::kStages], empty[Shape::kStages];
};

// shared_memory() with the alignment of atoms.
template <class Memory>
__device__ Memory& aligned_shared_memory() {
  extern __shared__ __align__(1024) unsigned char aligned_shared_bytes[];
  return *reinterpret_cast<Memory*>(aligned_shared_bytes);
}

// The stage of the next step, and the parity of its use.
template <class Shape>
struct Turn {
  int stage = 0;
  uint32_t parity = 0;
  __device__ void advance() {
    if (++stage < Shape::kStages) return;
    stage = 0;
    parity ^= 1;
  }
};

// A tile of the output, or of one split of it: steps begin <= p < end of the depth. `product`: which of the products in
// one launch.
struct WgmmaTile {
  int row, column, split, product, begin, end;
};

// Columns of a tile, up to 64, that lie side by side in a row of the output, from index `at` on.
struct ColumnRun {
  int at, count;
};

// The tiles of a launch: columns fastest, then rows, splits, products.
struct TileList {
  FastDivide column_tiles, row_tiles, splits;
  int products = 1;
  int split_steps = 0;

  __host__ __device__ int count() const {
    return static_cast<int>(column_tiles.divisor * row_tiles.divisor * splits.divisor) * products;
  }
  template <class Shape>
  __device__ WgmmaTile tile(int index) const {
    const int row_at = column_tiles.quotient(index), split_at = row_tiles.quotient(row_at);
    const int product = splits.quotient(split_at), split = splits.remainder(split_at, product);
    return {.row = row_tiles.remainder(row_at, split_at) * Shape::kM,
            .column = column_tiles.remainder(index, row_at) * Shape::kN,
            .split = split,
            .product = product,
            .begin = split * split_steps,
            .end = (split + 1) * split_steps};
  }
};

}  // namespace mpanet::PRECISION::KERNEL_NS
