// Tiles of a matrix product C (m, n) = A (m, depth) B (depth, n) without tensor cores, for GEMM and, in f64 and f32,
// the three passes of convolution. These differ in the addresses of a factor's elements (their Sources) and in the
// output of sums (product.cuh).
//
//   block     one tile of TileShape::kM x kN sums; it loops over the depth in steps of kDepth
//   warp      8 x 4 lanes
//   thread    kRows x kColumns sums in registers, in runs of kVector rows and columns
//
// Step t: load registers from memory for step t + 1, add step t from shared memory to the sums, store the registers to
// the other half of shared memory, barrier. A step has kDepth kRows kColumns multiply-adds for kDepth (kRows +
// kColumns) / kVector loads of 16 bytes from shared memory. Factors are of type real.
//
// The inner loop of 128 x 64 tiles, counted in the machine code of the three passes of convolution, per step and
// thread:
//   f32   1024 FFMA among 1248 .. 1315 instructions, 64 loads of 16 bytes from shared memory; 3 blocks a multiprocessor
//
//   f64    512 DFMA among  739 ..  791 instructions, 64 loads of 16 bytes from shared memory; 2 blocks a multiprocessor
//
// Bounds from published rates (not timings): on sm_80 the FMA pipe (2 clocks per FFMA, 100 % of the peak); on sm_90
// (one clock per FFMA) issue slots or shared memory, 82 to 85 % of the peak in f32 and 84 % in f64.
//
// Shared memory holds both factors as (kDepth, width), so that a thread reads runs of its rows and columns. A factor
// that is contiguous along its width is stored unchanged. A factor that is contiguous along the depth is transposed,
// and column is stored at column ^ swizzle(depth): so lanes of a warp with different depths write to different banks,
// and runs of kVector columns stay contiguous for reading. Neither has bank conflicts: in every kernel, accesses to
// shared memory need no more wavefronts than their bytes require.
#pragma once
#include "kernels/cuda/numeric.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

constexpr int kVector = 16 / static_cast<int>(sizeof(real));  // elements of 16 bytes of shared memory
constexpr int kDepth = sizeof(real) == 8 ? 8 : 16;

template <int M, int N, int Rows, int Columns = Rows>
struct TileShape {
  static constexpr bool kTensor = false;
  static constexpr int kM = M, kN = N, kRows = Rows, kColumns = Columns, kThreads = M * N / (Rows * Columns);
  static constexpr int kBlocks = 256 / kThreads;         // resident on a multiprocessor, for __launch_bounds__
  static constexpr int kLaneRows = 8, kLaneColumns = 4;  // lanes of a warp
  static constexpr int kWarpRows = kLaneRows * Rows, kWarpColumns = kLaneColumns * Columns;
  static constexpr int kRowStep = kLaneRows * kVector, kColumnStep = kLaneColumns * kVector;  // of a thread's runs
  static_assert(M % kWarpRows == 0 && N % kWarpColumns == 0 && Rows % kVector == 0 && Columns % kVector == 0);

  // A thread's sum (i, j) is the tile's (row() + row_of(i), column() + column_of(j)).
  __device__ static int row() {
    const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    return warp % (M / kWarpRows) * kWarpRows + lane / kLaneColumns * kVector;
  }
  __device__ static int column() {
    const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    return warp / (M / kWarpRows) * kWarpColumns + lane % kLaneColumns * kVector;
  }
  // Threads of one group have the same rows; group 0 has row 0.
  __device__ static int row_group() {
    const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    return warp % (M / kWarpRows) * kLaneRows + lane / kLaneColumns;
  }
  static constexpr __host__ __device__ int row_of(int i) { return i / kVector * kRowStep + i % kVector; }
  static constexpr __host__ __device__ int column_of(int j) { return j / kVector * kColumnStep + j % kVector; }
};

// One factor of a tile. All threads together load a step of (kDepth, kWidth) into registers, and store it to shared
// memory. A Source has
//   kAlongDepth, kLanes    whether the depth is contiguous in memory; elements per load
//   Row row(int index), Depth depth(int p)   the precomputed part of each coordinate, also for invalid ones
//   bool inside(Row, Depth), const T* at(Row, Depth)   the address if inside; the factor is zero outside
template <int kWidth, int kThreads, class Source>
class Panel {
  static constexpr bool kAlongDepth = Source::kAlongDepth;
  static constexpr int kLanes = Source::kLanes;
  static constexpr int kItems = kWidth * kDepth / (kThreads * kLanes);
  static constexpr int kSlots = (kAlongDepth ? kDepth : kWidth) / kLanes;  // packs in the contiguous direction
  static constexpr int kDepthLanes = kSlots < 8 ? kSlots : 8;              // lanes of a warp along the depth
  static constexpr int kDepthWarps = kAlongDepth ? kSlots / kDepthLanes : 1;
  static constexpr int kStep = kThreads / kSlots;  // rows or depths between a thread's packs
  static constexpr int kUnit = 128 / static_cast<int>(sizeof(real)) / kDepthLanes;  // columns per step of the swizzle
  static_assert(kItems * kThreads * kLanes == kWidth * kDepth && kStep * kSlots == kThreads);
  static_assert(!kAlongDepth || (kUnit >= kVector && kThreads / kWarp >= kDepthWarps));

 public:
  static constexpr __host__ __device__ int swizzle(int p) { return kAlongDepth ? p / kLanes % kDepthLanes * kUnit : 0; }

  __device__ Panel(const Source& source, int first) : source_(source) {
    const int thread = static_cast<int>(threadIdx.x);
    if constexpr (kAlongDepth) {
      const int lane = thread % kWarp, warp = thread / kWarp;
      depth_ = (lane % kDepthLanes + warp % kDepthWarps * kDepthLanes) * kLanes;
      row_ = lane / kDepthLanes + warp / kDepthWarps * (kWarp / kDepthLanes);
      UNROLL
      for (int i = 0; i < kItems; i++) known_[i] = source.row(first + row_ + i * kStep);
    } else {
      depth_ = thread / kSlots;
      row_ = thread % kSlots * kLanes;
      known_[0] = source.row(first + row_);
    }
  }

  __device__ void fetch(int p) {
    if constexpr (kAlongDepth) {
      const auto depth = source_.depth(p + depth_);
      UNROLL
      for (int i = 0; i < kItems; i++) fetch(known_[i], depth, pack_[i]);
    } else {
      UNROLL
      for (int i = 0; i < kItems; i++) fetch(known_[0], source_.depth(p + depth_ + i * kStep), pack_[i]);
    }
  }

  __device__ void store(real (&tile)[kDepth][kWidth]) const {
    UNROLL
    for (int i = 0; i < kItems; i++) {
      if constexpr (kAlongDepth) {
        const int column = (row_ + i * kStep) ^ swizzle(depth_);
        UNROLL
        for (int j = 0; j < kLanes; j++) tile[depth_ + j][column] = pack_[i].lane[j];
      } else {
        store_pack(&tile[depth_ + i * kStep][row_], pack_[i]);
      }
    }
  }

 private:
  __device__ void fetch(const typename Source::Row& row, const typename Source::Depth& depth,
                        Pack<real, kLanes>& pack) const {
    pack = {};
    if (source_.inside(row, depth)) pack = load_pack<kLanes>(source_.at(row, depth));
  }

  Source source_;
  int row_, depth_;
  typename Source::Row known_[kAlongDepth ? kItems : 1];
  Pack<real, kLanes> pack_[kItems];
};

template <class Shape>
struct alignas(16) TileMemory {
  real left[2][kDepth][Shape::kM];
  real right[2][kDepth][Shape::kN];
};

template <class Shape>
struct TileSums {
  real at[Shape::kRows][Shape::kColumns] = {};
};

// Adds one step to the sums. row, column: Shape::row(), Shape::column() of the thread.
template <class Shape, class Left, class Right>
__device__ inline void multiply_step(const real (&left)[kDepth][Shape::kM], const real (&right)[kDepth][Shape::kN],
                                     int row, int column, TileSums<Shape>& sums) {
  constexpr int kRows = Shape::kRows, kColumns = Shape::kColumns;
  UNROLL
  for (int p = 0; p < kDepth; p++) {
    real a[kRows], b[kColumns];
    UNROLL
    for (int i = 0; i < kRows; i += kVector) {
      const auto run = load_pack<kVector>(&left[p][(row ^ Left::swizzle(p)) + Shape::row_of(i)]);
      UNROLL
      for (int e = 0; e < kVector; e++) a[i + e] = run.lane[e];
    }
    UNROLL
    for (int j = 0; j < kColumns; j += kVector) {
      // column_of(j) and column have no bit in common, so ^ adds them. The swizzle may exchange two runs.
      const auto run = load_pack<kVector>(&right[p][column ^ (Shape::column_of(j) ^ Right::swizzle(p))]);
      UNROLL
      for (int e = 0; e < kVector; e++) b[j + e] = run.lane[e];
    }
    UNROLL
    for (int i = 0; i < kRows; i++) {
      UNROLL
      for (int j = 0; j < kColumns; j++) sums.at[i][j] += a[i] * b[j];
    }
  }
}

// Sums the tile that begins at first_row and first_column of C, over depth begin <= p < end; begin is a multiple of
// kDepth. The last iteration prefetches beyond `end`; inside() is false there, so it stages zeros that nobody uses. All
// threads of the block must call.
template <class Shape, class LeftSource, class RightSource>
__device__ void multiply_tile(TileMemory<Shape>& memory, const LeftSource& left_source, const RightSource& right_source,
                              int first_row, int first_column, int begin, int end, TileSums<Shape>& sums) {
  using Left = Panel<Shape::kM, Shape::kThreads, LeftSource>;
  using Right = Panel<Shape::kN, Shape::kThreads, RightSource>;
  Left left(left_source, first_row);
  Right right(right_source, first_column);
  const int row = Shape::row(), column = Shape::column();
  left.fetch(begin);
  right.fetch(begin);
  left.store(memory.left[0]);
  right.store(memory.right[0]);
  __syncthreads();
  int half = 0;
  for (int p = begin; p < end; p += kDepth) {
    left.fetch(p + kDepth);
    right.fetch(p + kDepth);
    multiply_step<Shape, Left, Right>(memory.left[half], memory.right[half], row, column, sums);
    half ^= 1;
    left.store(memory.left[half]);
    right.store(memory.right[half]);
    __syncthreads();
  }
}

}  // namespace mpanet::PRECISION::KERNEL_NS
