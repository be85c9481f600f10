// GEMM in real: c (m, n) = op(a) op(b) + bias, set or added, on the tiles of tile.cuh. A factor is read along the depth
// or along its width, in the direction that is contiguous, so that all four transpositions read whole sectors. Blocks:
// one per tile and split of k; the classifier (128 x 395 from 14336) has 14 tiles of 64 x 64 and 32 splits. Bytes: a is
// read once per 64 columns of c and b once per 128 rows, and repeated reads hit the L2 cache. c is written once, or its
// splits are written to the workspace and added.
//
// On a stream that uses TF32 the factors are multiplied on tensor cores (tensor_tile.cuh), in tiles of 64 x 64. The
// left factor is copied by single floats if packs of 16 bytes do not fit its rows, the right one by 16 bytes. Of the
// classifier's three products two have such a factor, the gradient of the logits (128 x 395): a hundredth of their
// bytes.
#include "kernels/cuda/capability.h"
#include "kernels/cuda/plan.cuh"
#include "kernels/cuda/vendor_calls.h"
#include "kernels/memory.h"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

template <class Shape, int L, bool kTransposeA, bool kTransposeB>
__global__ void __launch_bounds__(Shape::kThreads, Shape::kBlocks)
    gemm_kernel(const real* a, const real* b, int m, int n, int k, int chunk, Output<real> c) {
  const int split = static_cast<int>(blockIdx.z), tile = static_cast<int>(blockIdx.x);
  const int column_tiles = (n - 1) / Shape::kN + 1;
  const int row = tile / column_tiles * Shape::kM, column = tile % column_tiles * Shape::kN;
  const int begin = split * chunk, end = min(k, begin + chunk);
  const MatrixSource<real, !kTransposeA, L> left{a, m, end, kTransposeA ? m : k};
  const MatrixSource<real, kTransposeB, L> right{b, n, end, kTransposeB ? k : n};
  TileSums<Shape> sums;
  multiply_tile(shared_memory<TileMemory<Shape>>(), left, right, row, column, begin, end, sums);
  emit_tile<L>(sums, c, m, row, column, split, [&](int r) { return int64_t{r} * n; });
}

// A matrix of floats as a factor on tensor cores, with the indices of MatrixSource.
template <bool AlongDepth, int Lanes>
struct TensorMatrix {
  static constexpr bool kAlongDepth = AlongDepth;
  static constexpr int kLanes = Lanes;
  using Element = float;
  struct Row {
    uintptr_t address;
    int index;
  };
  struct Depth {
    int64_t bytes;
    int p;
  };

  const float* data;
  int rows, end;
  int stride;

  static __device__ int64_t bytes_of(int64_t elements) { return elements * int64_t{sizeof(float)}; }
  __device__ Row row(int index) const {
    const int64_t at = AlongDepth ? int64_t{index} * stride : index;
    return {reinterpret_cast<uintptr_t>(data) + static_cast<uintptr_t>(bytes_of(at)), index};
  }
  __device__ Depth depth(int p) const { return {bytes_of(AlongDepth ? p : int64_t{p} * stride), p}; }
  __device__ void advance(Depth& depth) const {
    depth.p += kStepDepth<float>;
    depth.bytes += AlongDepth ? kStepBytes : int64_t{stride} * kStepBytes;
  }
  __device__ bool inside(const Row& row, const Depth& depth) const { return row.index < rows && depth.p < end; }
};

// Single floats need more registers for addresses.
template <int kLeftLanes>
using TensorTile = TensorShape<64, 64, kLeftLanes == 1 ? 3 : 4>;

template <int kLeftLanes, int kRightLanes, bool kTransposeA, bool kTransposeB, class Shape = TensorTile<kLeftLanes>>
__global__ void __launch_bounds__(Shape::kThreads, Shape::kBlocks)
    gemm_tensor_kernel(const float* a, const float* b, int m, int n, int k, int chunk, Output<float> c) {
  const int split = static_cast<int>(blockIdx.z), tile = static_cast<int>(blockIdx.x);
  const int column_tiles = (n - 1) / Shape::kN + 1;
  const int row = tile / column_tiles * Shape::kM, column = tile % column_tiles * Shape::kN;
  const int begin = split * chunk, end = min(k, begin + chunk);
  const TensorMatrix<!kTransposeA, kLeftLanes> left{a, m, end, kTransposeA ? m : k};
  const TensorMatrix<kTransposeB, kRightLanes> right{b, n, end, kTransposeB ? k : n};
  auto& memory = shared_memory<TensorMemory<Shape>>();
  TensorSums<Shape> sums;
  multiply_tile(memory, left, right, row, column, begin, end, sums);
  emit_tile<1>(
      memory, sums, c, m, row, column, split, [&](int r) { return int64_t{r} * n; }, Columns{n});
}

bool on_tensor_cores(Stream stream) { return kTf32Products && ::mpanet::KERNEL_NS::uses_tf32(stream); }

// Calls run<kTransposeA, kTransposeB>().
template <class Run>
void with_transpositions(bool transpose_a, bool transpose_b, const Run& run) {
  if (transpose_a && transpose_b)
    run.template operator()<true, true>();
  else if (transpose_a)
    run.template operator()<true, false>();
  else if (transpose_b)
    run.template operator()<false, true>();
  else
    run.template operator()<false, false>();
}

// Calls run<kLeftLanes, kRightLanes>(). left, right: whether the factor can be read in packs.
template <class Run>
void with_lanes(bool left, bool right, const Run& run) {
  if (left && right)
    run.template operator()<4, 4>();
  else if (right)
    run.template operator()<1, 4>();
  else
    run.template operator()<1, 1>();
}

// T is real; a template, because double has no such kernel.
template <class T>
void launch_tensor(Stream stream, const ProductPlan& plan, bool transpose_a, bool transpose_b, int m, int n, int k,
                   const T* a, bool packed_a, const T* b, bool packed_b, const Output<T>& output) {
  if constexpr (std::is_same_v<T, float>) {
    with_lanes(packed_a, packed_b, [&]<int kLeft, int kRight>() {
      using Shape = TensorTile<kLeft>;
      const dim3 grid = product_grid<Shape>(m, n, plan.splits);
      with_transpositions(transpose_a, transpose_b, [&]<bool kA, bool kB>() {
        LAUNCH((gemm_tensor_kernel<kLeft, kRight, kA, kB>), grid, Shape::kThreads, sizeof(TensorMemory<Shape>), stream,
               a, b, m, n, k, plan.chunk, output);
      });
    });
  }
}

// The widths of the factors' rows in memory.
struct Widths {
  int64_t a, b;
};
Widths widths(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k) {
  return {transpose_a ? m : k, transpose_b ? k : n};
}

ProductPlan plan_of(Stream stream, const Widths& width, int64_t m, int64_t n, int64_t k) {
  const bool packed = width.a % kVector == 0 && width.b % kVector == 0 && n % kVector == 0;
  if (!on_tensor_cores(stream)) return plan_product({m, n, k, 1, packed}, ordinary_tiles());
  TileChoices choices = tensor_tiles<float>();
  choices.tiles = choices.tiles.last(1);
  return plan_product({m, n, k, 1, packed}, choices);
}

}  // namespace

size_t gemm_workspace_bytes(Stream stream, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k) {
  const ProductPlan plan = plan_of(stream, widths(transpose_a, transpose_b, m, n, k), m, n, k);
  return vendor::gemm_workspace_bytes(stream, transpose_a, transpose_b, m, n, k, plan.workspace_bytes(m * n));
}

void gemm(Stream stream, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const real* a,
          const real* b, const real* bias, real* c, Write write, void* workspace) {
  constexpr int64_t kLimit = (int64_t{1} << 31) - 1024;
  KERNEL_CHECK(m > 0 && n > 0 && k > 0, "positive sizes");
  KERNEL_CHECK(m < kLimit && n < kLimit && k < kLimit, "sizes below 2^31");
  if (vendor::gemm(stream, transpose_a, transpose_b, m, n, k, a, b, bias, c, write, workspace)) return;
  const Widths width = widths(transpose_a, transpose_b, m, n, k);
  const ProductPlan plan = plan_of(stream, width, m, n, k);
  const int rows = static_cast<int>(m), columns = static_cast<int>(n), depth = static_cast<int>(k);
  Output<real> output{.to = c, .columns = columns, .shift = bias, .write = write};
  output.packed = full_packs_fit(n, c);
  output.count = m * n;
  if (plan.splits > 1) output.partial = static_cast<real*>(workspace);
  const bool packed_a = full_packs_fit(width.a, a), packed_b = full_packs_fit(width.b, b);
  if (on_tensor_cores(stream)) {
    ::mpanet::KERNEL_NS::require_tensor_cores(stream, "tf32");
    launch_tensor(stream, plan, transpose_a, transpose_b, rows, columns, depth, a, packed_a, b, packed_b, output);
  } else {
    with_tile(plan, packed_a && packed_b && output.packed, [&]<class Shape, int L>() {
      const dim3 grid = product_grid<Shape>(m, n, plan.splits);
      with_transpositions(transpose_a, transpose_b, [&]<bool kA, bool kB>() {
        LAUNCH((gemm_kernel<Shape, L, kA, kB>), grid, Shape::kThreads, sizeof(TileMemory<Shape>), stream, a, b, rows,
               columns, depth, plan.chunk, output);
      });
    });
  }
  if (plan.splits > 1) add_splits(stream, output, plan.splits);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
