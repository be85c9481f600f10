// GEMM in real: c (m, n) = op(a) op(b) + bias, set or added, on the tiles of tile.cuh. A factor is read along the depth
// or along its width, in the direction that is contiguous, so that all four transpositions read whole sectors. Blocks:
// one per tile and split of k; the classifier (128 x 395 from 14336) has 14 tiles of 64 x 64 and 32 splits. Bytes: a is
// read once per 64 columns of c and b once per 128 rows, and repeated reads hit the L2 cache. c is written once, or its
// splits are written to the workspace and added.
// TF32: a launch per operand first writes a rounded copy to the beginning of the workspace, which the product reads.
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

// Elements of an operand's copy: whole blocks of 256 bytes, so that what follows it is aligned.
int64_t copy_count(int64_t count) { return divide_up(count, 64) * 64; }

// Bytes of the rounded copies of operands with these numbers of elements.
size_t copy_bytes(Stream stream, int64_t a, int64_t b) {
  if (!kHasTf32 || !::mpanet::KERNEL_NS::uses_tf32(stream)) return 0;
  return static_cast<size_t>(copy_count(a) + copy_count(b)) * sizeof(real);
}

// Makes the copies, if there are any: a and b then point to them, and the workspace begins after them. A template,
// because T may be double.
template <class T>
void round_operands(Stream stream, const T*& a, int64_t a_count, const T*& b, int64_t b_count, void*& workspace) {
  if constexpr (kHasTf32) {
    const size_t bytes = copy_bytes(stream, a_count, b_count);
    if (bytes == 0) return;
    T *const a_copy = static_cast<T*>(workspace), *const b_copy = a_copy + copy_count(a_count);
    round_to_tf32(stream, a, a_copy, a_count);
    round_to_tf32(stream, b, b_copy, b_count);
    a = a_copy;
    b = b_copy;
    workspace = static_cast<char*>(workspace) + bytes;
  }
}

ProductSize size_of(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k) {
  const bool packed = (transpose_a ? m : k) % kVector == 0 && (transpose_b ? k : n) % kVector == 0 && n % kVector == 0;
  return {m, n, k, 1, packed};
}

}  // namespace

size_t gemm_workspace_bytes(Stream stream, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k) {
  const ProductSize size = size_of(transpose_a, transpose_b, m, n, k);
  const size_t native = plan_product(size, ordinary_tiles()).workspace_bytes(m * n);
  return vendor::gemm_workspace_bytes(stream, transpose_a, transpose_b, m, n, k, native,
                                      copy_bytes(stream, m * k, k * n));
}

void gemm(Stream stream, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const real* a,
          const real* b, const real* bias, real* c, Write write, void* workspace) {
  constexpr int64_t kLimit = (int64_t{1} << 31) - 1024;
  KERNEL_CHECK(m > 0 && n > 0 && k > 0, "positive sizes");
  KERNEL_CHECK(m < kLimit && n < kLimit && k < kLimit, "sizes below 2^31");
  round_operands(stream, a, m * k, b, k * n, workspace);
  if (vendor::gemm(stream, transpose_a, transpose_b, m, n, k, a, b, bias, c, write, workspace)) return;
  const ProductSize size = size_of(transpose_a, transpose_b, m, n, k);
  const ProductPlan plan = plan_product(size, ordinary_tiles());
  Output<real> output{.to = c, .columns = static_cast<int>(n), .shift = bias, .write = write};
  output.packed = full_packs_fit(n, c);
  output.count = m * n;
  if (plan.splits > 1) output.partial = static_cast<real*>(workspace);
  with_tile(plan, size.packed && output.packed && full_packs_fit(0, a, b), [&]<class Shape, int L>() {
    const dim3 grid = product_grid<Shape>(m, n, plan.splits);
    const auto run = [&]<bool kA, bool kB>() {
      LAUNCH((gemm_kernel<Shape, L, kA, kB>), grid, Shape::kThreads, sizeof(TileMemory<Shape>), stream, a, b,
             static_cast<int>(m), static_cast<int>(n), static_cast<int>(k), plan.chunk, output);
    };
    if (transpose_a && transpose_b)
      run.template operator()<true, true>();
    else if (transpose_a)
      run.template operator()<true, false>();
    else if (transpose_b)
      run.template operator()<false, true>();
    else
      run.template operator()<false, false>();
    if (plan.splits > 1) add_splits(stream, output, plan.splits);
  });
}

}  // namespace mpanet::PRECISION::KERNEL_NS
