// Tiles of a matrix product on sm_90a: TMA, an mbarrier pipeline, wgmma. As tensor_tile.cuh, with 16-bit factors and
// float sums.
//
//   block       one on each multiprocessor, it computes tiles blockIdx.x, + gridDim.x, ...
//   producer    one thread: for each step, waits until its stage is empty and starts the copies. The other threads of
//               its warpgroup only leave their registers to the consumers.
//   consumers   two warpgroups with half of a tile each: for each step, wait until the stage is full and multiply; a
//               stage is empty when all their warps have read it
//
// The producer runs ahead into the next tile while the consumers write a tile. A step is 64 elements of the depth.
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

// 64 x 64 sums on their way to the output.
struct SumSlab {
  static constexpr int kM = 64, kN = 64;
  float sums[kM * kN];
};

template <class Shape>
struct alignas(1024) WgmmaMemory {
  struct Stage {
    unsigned char left[Shape::kM * kRowBytes], right[Shape::kN * kRowBytes];
  };
  Stage stage[Shape::kStages];
  SumSlab slab[kConsumers];
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

// Writes a slab of a warpgroup's sums to shared memory. An array in registers cannot be indexed by a variable.
template <class Shape>
__device__ __forceinline__ void store_slab(SumSlab& slab, const WgmmaSums<Shape>& sums, int index) {
  constexpr int kAcross = Shape::kGroupN / SumSlab::kN;
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp % 4;
  const int row = warp * 16 + lane / 4, column = lane % 4 * 2;
  UNROLL
  for (int i = 0; i < Shape::kRowBlocks * kAcross; i++) {
    if (i != index) continue;
    const float* const d = sums.at[i / kAcross] + i % kAcross * (SumSlab::kN / 2);
    UNROLL
    for (int j = 0; j < SumSlab::kN / 8; j++) {
      store_pack(slab.sums + staged_sum<SumSlab>(row, column + 8 * j), Pack<float, 2>{d[4 * j], d[4 * j + 1]});
      store_pack(slab.sums + staged_sum<SumSlab>(row + 8, column + 8 * j), Pack<float, 2>{d[4 * j + 2], d[4 * j + 3]});
    }
  }
}

template <int L>
__device__ inline void load_sums(const SumSlab& slab, int row, int column, float (&to)[L]) {
  UNROLL
  for (int j = 0; j < L; j += 4) {
    const auto run = load_pack<4>(slab.sums + staged_sum<SumSlab>(row, column + j));
    UNROLL
    for (int e = 0; e < 4; e++) to[j + e] = run.lane[e];
  }
}

// L adjacent columns of a slab, and every kGroups-th row from `group` on, of a thread of a warpgroup; as OutputThread.
template <int L>
struct SlabThread {
  static constexpr int kPacks = SumSlab::kN / L, kGroups = kWarpgroup / kPacks;
  int thread = static_cast<int>(threadIdx.x) % kWarpgroup;
  int column = thread % kPacks * L, group = thread / kPacks;
};

// Writes the slab at first_row and first_column of C, and computes tile_sums (tile_sums.cuh) of what is stored. Waits
// for the slab's sums. All threads of the warpgroup must call.
template <int L, class Pass, class T, class TileSum>
__device__ __forceinline__ void emit_results(SumSlab& slab, const Pass& pass, const WgmmaTile& tile, int first_row,
                                             int first_column, const Output<T>& output, const TileSum& tile_sums) {
  using Own = SlabThread<L>;
  using State = typename TileSum::template State<L>;
  struct Row {
    int64_t index;
    typename Output<T>::template Inputs<L> inputs;
    typename State::Inputs others;
  };
  constexpr int kRows = SumSlab::kM / Own::kGroups;
  constexpr size_t kInputs = sizeof(typename State::Inputs);
  // Rows whose inputs are read before the first one is written. Those of two norms would need too many registers.
  constexpr int kAtOnce = kInputs > 32 ? 1 : 2;
  // The few warps of a multiprocessor hide little latency, so forward has a whole slab's rows unrolled.
  constexpr bool kUnrolled = std::is_empty_v<typename State::Inputs>;
  const Own own;
  const int barrier = 1 + static_cast<int>(threadIdx.x) / kWarpgroup;
  const int at = pass.column_at(first_column + own.column);
  const int end = at < 0 ? 0 : min(SumSlab::kM, pass.rows(tile) - first_row);
  State state(tile_sums, at);
  const auto load_row = [&](Row& row, int r) {
    row.index = pass.row_offset(tile, first_row + r) + at;
    row.inputs = output.template load_inputs<L, State::kSums>(row.index);
    row.others = state.load_inputs(row.index);
  };
  const auto write_row = [&](const Row& row, int r) {
    real sums[L];
    load_sums(slab, r, own.column, sums);
    output.finish(row.inputs, row.others, state, row.index, at, sums);
  };
  warpgroup_barrier(barrier);
  if (kUnrolled && end == SumSlab::kM) {
    Row rows[kRows];
    UNROLL
    for (int i = 0; i < kRows; i++) load_row(rows[i], own.group + i * Own::kGroups);
    UNROLL
    for (int i = 0; i < kRows; i++) write_row(rows[i], own.group + i * Own::kGroups);
  } else {
    ONE_BY_ONE
    for (int row = own.group; row < end; row += kAtOnce * Own::kGroups) {
      const auto exists = [&](int i) { return i == 0 || row + i * Own::kGroups < end; };
      Row rows[kAtOnce];
      UNROLL
      for (int i = 0; i < kAtOnce; i++)
        if (exists(i)) load_row(rows[i], row + i * Own::kGroups);
      UNROLL
      for (int i = 0; i < kAtOnce; i++)
        if (exists(i)) write_row(rows[i], row + i * Own::kGroups);
    }
  }
  if constexpr (TileSum::kValues > 0) {
    static_assert(TileSum::kValues * Own::kGroups * SumSlab::kN <= SumSlab::kM * SumSlab::kN);
    warpgroup_barrier(barrier);
    state.template keep<SumSlab::kN, Own::kGroups>(slab.sums, own.group, own.column);
    warpgroup_barrier(barrier);
    tile_sums.template merge<SumSlab::kN, Own::kGroups>(slab.sums, first_column, own.thread, kWarpgroup);
  }
}

// Writes the slab's sums of a split. Waits for them.
template <class Pass, class T>
__device__ __forceinline__ void emit_partial(const SumSlab& slab, const Pass& pass, const WgmmaTile& tile,
                                             int first_row, int first_column, const Output<T>& output) {
  constexpr int L = kFull<real>;
  using Own = SlabThread<L>;
  const Own own;
  const int at = pass.column_at(first_column + own.column);
  const int end = at < 0 ? 0 : min(SumSlab::kM, pass.rows(tile) - first_row);
  real* const to = output.partial + tile.split * output.count + at;
  warpgroup_barrier(1 + static_cast<int>(threadIdx.x) / kWarpgroup);
  for (int row = own.group; row < end; row += Own::kGroups) {
    Pack<real, L> sums;
    load_sums(slab, row, own.column, sums.lane);
    store_pack(to + pass.row_offset(tile, first_row + row), sums);
  }
}

// Writes a tile in packs of 16 bytes. All threads of the consumers must call.
template <class Pass, class Shape, class T>
__device__ __forceinline__ void emit_tile(WgmmaMemory<Shape>& memory, WgmmaSums<Shape>& sums, const Pass& pass,
                                          const WgmmaTile& tile, const Output<T>& output) {
  constexpr int kAcross = Shape::kGroupN / SumSlab::kN;
  SumSlab& slab = memory.slab[Shape::group()];
  const int barrier = 1 + Shape::group();  // 0 is the block's
  ONE_BY_ONE
  for (int i = 0; i < Shape::kRowBlocks * kAcross; i++) {
    store_slab(slab, sums, i);
    const int row = tile.row + Shape::group_row() + i / kAcross * SumSlab::kM;
    const int column = tile.column + Shape::group_column() + i % kAcross * SumSlab::kN;
    if (output.partial != nullptr)
      emit_partial(slab, pass, tile, row, column, output);
    else
      pass.template with_sums<Shape>(tile, row, [&](const auto& tile_sums) {
        emit_results<kFull<T>>(slab, pass, tile, row, column, output, tile_sums);
      });
    warpgroup_barrier(barrier);
  }
}

// Computes the tiles of a launch. A Pass has
//   kLeftAlongDepth, kRightAlongDepth   whether the depth is contiguous in the factors
//   TileList tiles                      the tiles of all products
//   int rows(tile), last_step(tile)     rows of the tile's product, and its steps
//   with_sums<Shape>(tile, row, body)   calls body(tile_sums) for the slab that begins at this row
//   load<Shape>(tile, step, stage, barrier)   starts the copies of a step, kStageBytes in all
//   int64_t row_offset(tile, row)       index in the output of a row of C
//   int column_at(column)               index in a row of the output of a column of C, or -1
template <class Pass>
__device__ int steps_of(const Pass& pass, const WgmmaTile& tile) {  // may be negative: none
  return tile.row < pass.rows(tile) ? min(tile.end, pass.last_step(tile)) - tile.begin : 0;
}

template <class Shape, class Pass, class T>
__device__ __forceinline__ void compute_tiles(const Pass& pass, const Output<T>& output) {
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
    }
    return;
  }
  increase_registers<kConsumerRegisters>();
  for (int index = static_cast<int>(blockIdx.x); index < count; index += static_cast<int>(gridDim.x)) {
    const WgmmaTile tile = pass.tiles.template tile<Shape>(index);
    WgmmaSums<Shape> sums;
    multiply_tile<Pass>(memory, steps_of(pass, tile), turn, sums);
    emit_tile(memory, sums, pass, tile, output);
  }
}

}  // namespace mpanet::PRECISION::KERNEL_NS
