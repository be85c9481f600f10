// Tiles of a matrix product C (m, n) = A (m, depth) B (depth, n) on tensor cores (mma.sync), with 16-bit factors, or
// with float factors that are multiplied in TF32, and float sums. Sources give the addresses of a factor's elements,
// product.cuh has the output of sums.
//
//   block     one tile of kM x kN sums, 4 warps; it loops over the depth in steps of 64 bytes: 32 elements, 16 floats
//   warp      kM / 2 x kN / 2 sums, in registers
//   step t    wait for the copies of step t, barrier, begin the copies of step t + 3, multiply step t
//
// Copies are cp.async of 16 bytes, up to three steps ahead. Before sm_80 they are synchronous.
//
// The inner loop of 128 x 128 tiles, counted in sm_80's machine code of the three passes of convolution in bf16, per
// step and warp: 64 HMMA among 201 to 242 instructions, 16 ldmatrix of 4 matrices, 8 copies. With published rates (not
// timings) and 2 resident blocks the tensor cores are the bound, 1024 clocks a step; shared memory takes 776, issue
// slots at most 484. Of shared memory, an execution of the PTX counted 1.00 to 1.04 times the wavefronts that the bytes
// require.
//
// A panel is one factor's part of a step: (width, depth) for a tile of `width` rows of A or columns of B. Shared memory
// has it in the order of device memory, in chunks of 16 bytes. It is contiguous either
//
//   along the depth    64 bytes a row: chunk c of row w is at chunk c ^ w / 2 % 4 of that row
//   along the width    depth p is a row: chunk c is at chunk c ^ p % 8, of floats at chunk c ^ p % 4 * 2
//
// so that the eight rows of a matrix of ldmatrix are in different banks: rows w .. w + 7 of one chunk in the first
// case, p .. p + 7 in the second. The second needs ldmatrix's transposition, which exchanges 16-bit elements. Floats
// are loaded one by one instead: a load of a warp has 8 adjacent floats of 4 adjacent depths, 32 different banks.
// Floats are rounded to TF32 in the registers of a fragment (to_tf32()), so that memory holds no rounded copies.
//
// A thread copies pieces with one depth and several widths, so that it computes one Depth per step. Its Rows do not
// change. A piece is 16 bytes (cp.async). For widths that 16 bytes do not divide and for unaligned addresses it is one
// float (cp.async), or 4 elements of 16 bits, which pass through registers. A Source has
//
//   kAlongDepth, kLanes              whether the depth is contiguous in memory; elements of a piece
//   Row row(int index)               of the piece that begins at this row of A or column of B, also if there is none
//   Depth depth(int p)               of the piece that begins at this depth, also if there is none
//   void advance(Depth&)             to the depth one step later
//   bool inside(Row, Depth)          false: the whole piece is zero
//   bool packed, int left(Row, Depth)   for pieces through registers: whether a piece inside can be loaded as one pack;
//                                    the number of its elements that exist (may exceed kLanes), the others are zero
//   int exist(Depth)                 optional, for pieces of 16 bytes: the same number
//
// and Row::address + Depth::bytes is the address of a piece inside.
#pragma once
#include "kernels/cuda/numeric.cuh"
#include "kernels/cuda/ptx.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

constexpr int kStepBytes = 64, kChunk = 16;  // depth of a step; a row of ldmatrix
constexpr int kStages = 4;
template <class Element>
constexpr int kStepDepth = kStepBytes / static_cast<int>(sizeof(Element));  // elements

constexpr int blocks_that_fit(int m, int n) { return m * n >= 128 * 128 ? 2 : m * n >= 128 * 64 ? 3 : 4; }

// Blocks: resident on a multiprocessor, for __launch_bounds__.
template <int M, int N, int Blocks = blocks_that_fit(M, N)>
struct TensorShape {
  static constexpr bool kTensor = true;
  static constexpr int kM = M, kN = N, kThreads = 4 * kWarp;
  static constexpr int kWarpM = M / 2, kWarpN = N / 2;                        // 2 x 2 warps
  static constexpr int kRowBlocks = kWarpM / 16, kColumnBlocks = kWarpN / 8;  // mma instructions of a warp
  static_assert(kWarpM % 16 == 0 && kWarpN % 16 == 0);
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
  static constexpr int kBlocks = Blocks < 2 ? Blocks : 2;  // 64 KiB of shared memory have no room for more
#else
  static constexpr int kBlocks = Blocks;
#endif

  __device__ static int warp_row() { return static_cast<int>(threadIdx.x) / kWarp % 2 * kWarpM; }
  __device__ static int warp_column() { return static_cast<int>(threadIdx.x) / (2 * kWarp) * kWarpN; }
};

template <class Shape>
struct TensorSums {
  float at[Shape::kRowBlocks][Shape::kColumnBlocks][4] = {};
};

// The pipeline's stages, and after the last step the tile's sums.
template <class Shape>
struct alignas(128) TensorMemory {
  struct Stage {
    unsigned char left[Shape::kM * kStepBytes], right[Shape::kN * kStepBytes];
  };
  union {
    Stage stage[kStages];
    float sums[Shape::kM * Shape::kN];
  };
};

// A thread's part of one factor.
template <int kWidth, int kThreads, class Source>
class TensorPanel {
  using Element = typename Source::Element;
  static constexpr bool kAlongDepth = Source::kAlongDepth;
  static constexpr int kLanes = Source::kLanes, kSize = static_cast<int>(sizeof(Element)), kPiece = kLanes * kSize;
  static constexpr bool kAsync = kPiece == kChunk || kSize == 4;
  static constexpr int kPitch = kAlongDepth ? kStepBytes : kWidth * kSize;  // bytes from row to row in shared memory
  // Along the depth: threads of one row, and rows between a thread's pieces.
  static constexpr int kRowThreads = kStepBytes / kPiece, kRowStep = kThreads / kRowThreads;
  // Along the width: threads of one depth, the bytes of their pieces, and how many of these segments all banks are.
  static constexpr int kDepthThreads = kThreads / kStepDepth<Element>, kSegment = kDepthThreads * kPiece;
  static constexpr int kSegments = 128 / kSegment;
  static constexpr int kItems = kAlongDepth ? kWidth / kRowStep : kPitch / kSegment;
  static constexpr bool kFloat = std::is_same_v<Element, float>;
  static_assert(kRowStep % 8 == 0 && kDepthThreads * kStepDepth<Element> == kThreads && kSegments * kSegment == 128);
  static_assert(kItems * kThreads * kPiece == kWidth * kStepBytes && (kAlongDepth || kItems % kSegments == 0));
  static_assert(kFloat ? kLanes == 4 || kLanes == 1 : kSize == 2);

 public:
  __device__ TensorPanel(const Source& source, int first, int begin) : source_(source) {
    const int thread = static_cast<int>(threadIdx.x);
    if constexpr (kAlongDepth) {
      const int row = thread / kRowThreads, at = thread % kRowThreads * kPiece;
      to_ = row * kPitch + (at ^ row / 2 % 4 * kChunk);
      depth_ = source.depth(begin + at / kSize);
      UNROLL
      for (int i = 0; i < kItems; i++) row_[i] = source.row(first + row + i * kRowStep);
    } else {
      // Neighbouring depths begin at different segments, so that the lanes that write together use all banks. Single
      // floats have segments of 32 bytes, which the swizzle already moves to different banks.
      const int p = thread / kDepthThreads, shift = kFloat ? 0 : p % kSegments * kSegment;
      const int at = thread % kDepthThreads * kPiece + shift;
      to_ = p * kPitch + (at ^ swizzle(p) * kChunk);
      depth_ = source.depth(begin + p);
      UNROLL
      for (int i = 0; i < kItems; i++) row_[i] = source.row(first + (at ^ i * kSegment) / kSize);
    }
  }

  // Begins to copy the next step to `panel`. Pieces through registers are only loaded, store() writes them.
  __device__ void fetch(unsigned char* panel) {
    UNROLL
    for (int i = 0; i < kItems; i++) {
      const bool inside = source_.inside(row_[i], depth_);
      const auto* from = reinterpret_cast<const Element*>(row_[i].address + static_cast<uintptr_t>(depth_.bytes));
      if constexpr (kPiece == kChunk)
        cp_async_16_if(inside, panel + to(i), from, valid_bytes());
      else if constexpr (kFloat)
        cp_async_4_if(inside, panel + to(i), from);
      else
        piece_[i] = load_piece(inside, from, source_.left(row_[i], depth_));
    }
    source_.advance(depth_);
  }

  __device__ void store(unsigned char* panel) const {
    if constexpr (!kAsync) {
      UNROLL
      for (int i = 0; i < kItems; i++) store_pack(reinterpret_cast<Element*>(panel + to(i)), piece_[i]);
    }
  }

  // Fragments are 16 elements (width) x 32 bytes (depth), four matrices of ldmatrix. Matrix m is the half m % 2 of the
  // rows and m / 2 of the depth in A, the reverse in B. Byte of a lane's row of a warp's first fragment; of floats
  // along the width, of the lane's element of matrix 0:
  static __device__ int fragment(bool left, int warp_width) {
    const int lane = static_cast<int>(threadIdx.x) % kWarp, row = lane % 8, low = lane / 8 % 2, high = lane / 16;
    const int width = warp_width + (left ? low : high) * 8, depth = left ? high : low;
    if constexpr (kAlongDepth) return (width + row) * kPitch + (depth ^ row / 2 % 4) * kChunk;
    if constexpr (kFloat) {
      const int element = warp_width + lane / 4, p = lane % 4;
      return p * kPitch + (element * kSize ^ swizzle(p) * kChunk);
    }
    return (depth * 8 + row) * kPitch + (width / 8 ^ swizzle(row)) * kChunk;
  }
  // Loads fragment i of the width and k of the depth of the left or right factor. The chunks of fragments differ in
  // bits that are 0 in i = k = 0, so that ^ adds them behind the swizzle.
  template <bool kLeft>
  static __device__ void load_fragment(uint32_t (&to)[4], const unsigned char* panel, int first, int i, int k) {
    if constexpr (kAlongDepth) {
      ldmatrix(to, panel + (first ^ k * 2 * kChunk) + i * 16 * kPitch);
    } else if constexpr (kFloat) {
      UNROLL
      for (int m = 0; m < 4; m++) {
        const int width = i * 16 + (kLeft ? m % 2 : m / 2) * 8, depth = k * 8 + (kLeft ? m / 2 : m % 2) * 4;
        // The swizzle exchanges the lower 128 bytes only.
        const int low = width * kSize % 128, high = width * kSize - low;
        to[m] = *reinterpret_cast<const uint32_t*>(panel + (first ^ low) + high + depth * kPitch);
      }
    } else {
      ldmatrix_trans(to, panel + (first ^ i * 2 * kChunk) + k * 16 * kPitch);
    }
    if constexpr (kFloat) {
      UNROLL
      for (int m = 0; m < 4; m++) to[m] = to_tf32(std::bit_cast<float>(to[m]));
    }
  }

 private:
  // What a panel along the width adds to the chunks of depth p by ^.
  static constexpr __device__ int swizzle(int p) { return kFloat ? p % 4 * 2 : p % 8; }
  __device__ int to(int i) const { return kAlongDepth ? to_ + i * kRowStep * kPitch : to_ ^ i * kSegment; }

  // Of a piece of 16 bytes inside.
  __device__ int valid_bytes() const {
    if constexpr (requires { source_.exist(depth_); })
      return min(kChunk, source_.exist(depth_) * kSize);
    else
      return kChunk;
  }

  __device__ Pack<Element, kLanes> load_piece(bool inside, const Element* from, int left) const {
    Pack<Element, kLanes> piece = {};
    if (inside && source_.packed) return load_pack<kLanes>(from);
    UNROLL
    for (int e = 0; e < kLanes; e++)
      if (inside && e < left) piece.lane[e] = from[e];
    return piece;
  }

  Source source_;
  int to_;  // of the first piece, in a panel of shared memory
  typename Source::Row row_[kItems];
  typename Source::Depth depth_;
  Pack<Element, kLanes> piece_[kAsync ? 1 : kItems];
};

// Adds one step to the sums. left_first, right_first: fragment() of the warp.
template <class Shape, class Element, class Left, class Right>
__device__ inline void multiply_stage(const typename TensorMemory<Shape>::Stage& stage, int left_first, int right_first,
                                      TensorSums<Shape>& sums) {
  UNROLL
  for (int k = 0; k < kStepBytes / (2 * kChunk); k++) {
    uint32_t a[Shape::kRowBlocks][4], b[Shape::kColumnBlocks / 2][4];
    UNROLL
    for (int i = 0; i < Shape::kRowBlocks; i++) Left::template load_fragment<true>(a[i], stage.left, left_first, i, k);
    UNROLL
    for (int j = 0; j < Shape::kColumnBlocks / 2; j++)
      Right::template load_fragment<false>(b[j], stage.right, right_first, j, k);
    mma_fragments<Element>(sums.at, a, b);
  }
}

// Sums the tile that begins at first_row and first_column of C, over depth begin <= p < end; begin is a multiple of a
// step, and `end` too unless it is the end of the product. All threads of the block must call. Shared memory is free
// afterwards.
template <class Shape, class LeftSource, class RightSource>
__device__ void multiply_tile(TensorMemory<Shape>& memory, const LeftSource& left_source,
                              const RightSource& right_source, int first_row, int first_column, int begin, int end,
                              TensorSums<Shape>& sums) {
  using Element = typename LeftSource::Element;
  using Left = TensorPanel<Shape::kM, Shape::kThreads, LeftSource>;
  using Right = TensorPanel<Shape::kN, Shape::kThreads, RightSource>;
  Left left(left_source, first_row, begin);
  Right right(right_source, first_column, begin);
  const int left_first = Left::fragment(true, Shape::warp_row());
  const int right_first = Right::fragment(false, Shape::warp_column());
  const int steps = (end - begin + kStepDepth<Element> - 1) / kStepDepth<Element>;
  // Every step has a group of copies, so that the number of groups says which steps have arrived. It may be empty.
  for (int step = 0; step < kStages - 1; step++) {
    if (step < steps) {
      auto& stage = memory.stage[step];
      left.fetch(stage.left);
      right.fetch(stage.right);
      left.store(stage.left);
      right.store(stage.right);
    }
    cp_async_commit();
  }
  ONE_BY_ONE
  for (int step = 0; step < steps; step++) {
    cp_async_wait<kStages - 2>();
    __syncthreads();
    const bool more = step + kStages - 1 < steps;
    auto& ahead = memory.stage[(step + kStages - 1) % kStages];  // read in the last step, before the barrier
    if (more) {
      left.fetch(ahead.left);
      right.fetch(ahead.right);
    }
    cp_async_commit();
    multiply_stage<Shape, Element, Left, Right>(memory.stage[step % kStages], left_first, right_first, sums);
    if (more) {
      left.store(ahead.left);
      right.store(ahead.right);
    }
  }
  __syncthreads();
}

// ---- The tile's sums in shared memory, for the output. -------------------------------------------------------------

// Row-major, with swizzled columns. Eight floats are exchanged within 128 bytes by the row, for store_sums(): a half
// warp writes pairs of four rows. Halves of eight floats are exchanged in every second 128 bytes, for loads of packs of
// eight floats: lanes 0 .. 3 and 4 .. 7 read different halves. The runs of four floats stay contiguous.
template <class Shape>
__device__ inline int staged_sum(int row, int column) {
  return row * Shape::kN + (column ^ (row % 4 * 8) ^ (column / 32 % 2 * 4));
}

template <class Shape>
__device__ void store_sums(TensorMemory<Shape>& memory, const TensorSums<Shape>& sums) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int row = Shape::warp_row() + lane / 4, column = Shape::warp_column() + lane % 4 * 2;
  UNROLL
  for (int i = 0; i < Shape::kRowBlocks; i++) {
    UNROLL
    for (int j = 0; j < Shape::kColumnBlocks; j++) {
      const float(&d)[4] = sums.at[i][j];
      store_pack(memory.sums + staged_sum<Shape>(row + 16 * i, column + 8 * j), Pack<float, 2>{d[0], d[1]});
      store_pack(memory.sums + staged_sum<Shape>(row + 16 * i + 8, column + 8 * j), Pack<float, 2>{d[2], d[3]});
    }
  }
}

// L adjacent sums of a row; `column` is a multiple of L.
template <int L, class Shape>
__device__ inline void load_sums(const TensorMemory<Shape>& memory, int row, int column, float (&to)[L]) {
  constexpr int kRun = L < 4 ? L : 4;
  UNROLL
  for (int j = 0; j < L; j += kRun) {
    const auto run = load_pack<kRun>(memory.sums + staged_sum<Shape>(row, column + j));
    UNROLL
    for (int e = 0; e < kRun; e++) to[j + e] = run.lane[e];
  }
}

}  // namespace mpanet::PRECISION::KERNEL_NS
