// GEMM in real: c (m, n) = op(a) op(b) + bias, set or added, on the tiles of tile.cuh. A factor is read along the depth
// or along its width, in the direction that is contiguous, so that all four transpositions read whole sectors. Blocks:
// one per tile and split of k; the classifier (128 x 395 from 14336) has 14 tiles of 64 x 64 and 32 splits. Bytes: a is
// read once per 64 columns of c and b once per 128 rows, and repeated reads hit the L2 cache. c is written once, or its
// splits are written to the workspace and added. Several products of equal sizes are one launch, so that together they
// need fewer splits to fill a card.
//
// On a stream that uses TF32 the factors are multiplied on tensor cores (tensor_tile.cuh), in tiles of 64 x 64. The
// left factor is copied by single floats if packs of 16 bytes do not fit its rows, the right one by 16 bytes.
//
// Packs fit rows of any width that begin at multiples of 16 bytes, as those of 395 logits do (GemmStrides). A row's
// last pack then has numbers without meaning. Across the depth they are factors of sums that are no results, or are
// written where results have no meaning either. Along the depth cp.async replaces them by zeros, and ordinary
// arithmetic, which cannot, loads single elements.
#include <algorithm>

#include "kernels/cuda/capability.h"
#include "kernels/cuda/plan.cuh"
#include "kernels/cuda/vendor_calls.h"
#include "kernels/memory.h"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr int kMostProducts = 8;  // of a launch

// The products of a launch, with the depth of a split. blockIdx.z is the index of (product, split).
struct Products {
  GemmOperands at[kMostProducts];
  int stride_a, stride_b, stride_c;
  int splits, chunk;

  __device__ int split() const { return static_cast<int>(blockIdx.z) % splits; }
  __device__ const GemmOperands& own() const { return at[static_cast<int>(blockIdx.z) / splits]; }
  // Where the block's product goes. c: what all outputs have in common.
  __device__ Output<real> output(Output<real> c) const {
    c.to = own().c;
    c.write = own().write;
    if (c.partial != nullptr) c.partial += (static_cast<int>(blockIdx.z) - split()) * c.count;
    return c;
  }
};

// __grid_constant__: otherwise an index that is not known at compile time would copy the products to the stack.
template <class Shape, int L, bool kTransposeA, bool kTransposeB>
__global__ void __launch_bounds__(Shape::kThreads, Shape::kBlocks)
    gemm_kernel(const __grid_constant__ Products products, int m, int n, int k, Output<real> common) {
  const int split = products.split(), tile = static_cast<int>(blockIdx.x);
  const int column_tiles = (n - 1) / Shape::kN + 1;
  const int row = tile / column_tiles * Shape::kM, column = tile % column_tiles * Shape::kN;
  const int begin = split * products.chunk, end = min(k, begin + products.chunk);
  const GemmOperands& own = products.own();
  const MatrixSource<real, !kTransposeA, L> left{own.a, m, end, products.stride_a};
  const MatrixSource<real, kTransposeB, L> right{own.b, n, end, products.stride_b};
  TileSums<Shape> sums;
  multiply_tile(shared_memory<TileMemory<Shape>>(), left, right, row, column, begin, end, sums);
  const Output<real> c = products.output(common);
  emit_tile<L>(sums, c, m, row, column, split, [&](int r) { return int64_t{r} * products.stride_c; });
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
  __device__ int exist(const Depth& depth) const requires AlongDepth { return end - depth.p; }
};

// Single floats need more registers for addresses.
template <int kLeftLanes, int kRightLanes>
using TensorTile = TensorShape<64, 64,
                               kRightLanes == 1  ? 2
                               : kLeftLanes == 1 ? 3
                                                 : 4>;

template <int kLeftLanes, int kRightLanes, bool kTransposeA, bool kTransposeB,
          class Shape = TensorTile<kLeftLanes, kRightLanes>>
__global__ void __launch_bounds__(Shape::kThreads, Shape::kBlocks)
    gemm_tensor_kernel(const __grid_constant__ Products products, int m, int n, int k, Output<real> common) {
  const int split = products.split(), tile = static_cast<int>(blockIdx.x);
  const int column_tiles = (n - 1) / Shape::kN + 1;
  const int row = tile / column_tiles * Shape::kM, column = tile % column_tiles * Shape::kN;
  const int begin = split * products.chunk, end = min(k, begin + products.chunk);
  const GemmOperands& own = products.own();
  const TensorMatrix<!kTransposeA, kLeftLanes> left{own.a, m, end, products.stride_a};
  const TensorMatrix<kTransposeB, kRightLanes> right{own.b, n, end, products.stride_b};
  auto& memory = shared_memory<TensorMemory<Shape>>();
  TensorSums<Shape> sums;
  multiply_tile(memory, left, right, row, column, begin, end, sums);
  const Output<real> c = products.output(common);
  emit_tile<1>(
      memory, sums, c, m, row, column, split, [&](int r) { return int64_t{r} * products.stride_c; }, Columns{n});
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

// A launch of `length` products.
struct ProductLaunch {
  Products products;
  int length, m, n, k;
  bool packed_a, packed_b;

  template <class Shape>
  dim3 grid() const {
    return product_grid<Shape>(m, n, int64_t{products.splits} * length);
  }
};

// T is real; a template, because double has no such kernel.
template <class T>
void launch_tensor(Stream stream, const ProductLaunch& own, bool transpose_a, bool transpose_b,
                   const Output<T>& output) {
  if constexpr (std::is_same_v<T, float>) {
    with_lanes(own.packed_a, own.packed_b, [&]<int kLeft, int kRight>() {
      using Shape = TensorTile<kLeft, kRight>;
      with_transpositions(transpose_a, transpose_b, [&]<bool kA, bool kB>() {
        LAUNCH((gemm_tensor_kernel<kLeft, kRight, kA, kB>), own.grid<Shape>(), Shape::kThreads,
               sizeof(TensorMemory<Shape>), stream, own.products, own.m, own.n, own.k, output);
      });
    });
  }
}

// Whether packs of 16 bytes fit a factor's rows, which begin `stride` elements apart.
bool packs_fit_rows(Stream stream, bool along_depth, int64_t depth, int64_t stride) {
  return stride % kVector == 0 && (on_tensor_cores(stream) || !along_depth || depth % kVector == 0);
}

ProductPlan plan_of(Stream stream, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, int length,
                    const GemmStrides& strides) {
  const bool packed = packs_fit_rows(stream, !transpose_a, k, strides.a) &&
                      packs_fit_rows(stream, transpose_b, k, strides.b) && strides.c % kVector == 0;
  if (!on_tensor_cores(stream)) return plan_product({m, n, k, length, packed}, ordinary_tiles());
  TileChoices choices = tensor_tiles<float>();
  choices.tiles = choices.tiles.last(1);
  return plan_product({m, n, k, length, packed}, choices);
}

// At most kMostProducts. bias: of the only one, or null.
void multiply(Stream stream, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
              const GemmOperands* list, int length, const real* bias, void* workspace, const GemmStrides& strides) {
  const ProductPlan plan = plan_of(stream, transpose_a, transpose_b, m, n, k, length, strides);
  const auto aligned = [&](const auto& start) {
    return std::all_of(list, list + length, [&](const GemmOperands& p) { return full_packs_fit(0, start(p)); });
  };
  ProductLaunch own{.products = {.at = {},
                                 .stride_a = static_cast<int>(strides.a),
                                 .stride_b = static_cast<int>(strides.b),
                                 .stride_c = static_cast<int>(strides.c),
                                 .splits = plan.splits,
                                 .chunk = plan.chunk},
                    .length = length,
                    .m = static_cast<int>(m),
                    .n = static_cast<int>(n),
                    .k = static_cast<int>(k),
                    .packed_a = packs_fit_rows(stream, !transpose_a, k, strides.a) &&
                                aligned([](const GemmOperands& p) { return p.a; }),
                    .packed_b = packs_fit_rows(stream, transpose_b, k, strides.b) &&
                                aligned([](const GemmOperands& p) { return p.b; })};
  std::copy_n(list, length, own.products.at);
  Output<real> output{.to = list[0].c, .columns = own.n, .shift = bias, .write = list[0].write};
  output.packed = strides.c % kVector == 0 && aligned([](const GemmOperands& p) -> const real* { return p.c; });
  output.count = m * strides.c;
  if (plan.splits > 1) output.partial = static_cast<real*>(workspace);
  if (on_tensor_cores(stream)) {
    ::mpanet::KERNEL_NS::require_tensor_cores(stream, "tf32");
    launch_tensor(stream, own, transpose_a, transpose_b, output);
  } else {
    with_tile(plan, own.packed_a && own.packed_b && output.packed, [&]<class Shape, int L>() {
      with_transpositions(transpose_a, transpose_b, [&]<bool kA, bool kB>() {
        LAUNCH((gemm_kernel<Shape, L, kA, kB>), own.grid<Shape>(), Shape::kThreads, sizeof(TileMemory<Shape>), stream,
               own.products, own.m, own.n, own.k, output);
      });
    });
  }
  if (plan.splits == 1) return;
  if (length == 1) return add_splits(stream, output, plan.splits);
  SplitSums sums[kMostProducts];
  for (int i = 0; i < length; i++)
    sums[i] = {output.partial + i * plan.splits * output.count, plan.splits, list[i].c, output.count, list[i].write};
  add_split_sums(stream, sums, length);
}

void check(int64_t m, int64_t n, int64_t k, const GemmStrides& strides, const real* bias) {
  constexpr int64_t kLimit = (int64_t{1} << 31) - 1024;
  KERNEL_CHECK(m > 0 && n > 0 && k > 0, "positive sizes");
  KERNEL_CHECK(m < kLimit && n < kLimit && k < kLimit, "sizes below 2^31");
  KERNEL_CHECK(strides.a < kLimit && strides.b < kLimit && strides.c < kLimit, "strides below 2^31");
  KERNEL_CHECK(bias == nullptr || strides.c == n, "a dense result of a product with a bias");
}

size_t native_bytes(Stream stream, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, int length,
                    const GemmStrides& strides) {
  return plan_of(stream, transpose_a, transpose_b, m, n, k, length, strides).workspace_bytes(m * strides.c) *
         static_cast<size_t>(length);
}

}  // namespace

size_t gemm_workspace_bytes(Stream stream, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                            const GemmStrides& given) {
  const GemmStrides strides = given.of(transpose_a, transpose_b, m, n, k);
  return vendor::gemm_workspace_bytes(stream, transpose_a, transpose_b, m, n, k, strides,
                                      native_bytes(stream, transpose_a, transpose_b, m, n, k, 1, strides));
}

void gemm(Stream stream, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const real* a,
          const real* b, const real* bias, real* c, Write write, void* workspace, const GemmStrides& given) {
  const GemmStrides strides = given.of(transpose_a, transpose_b, m, n, k);
  check(m, n, k, strides, bias);
  if (vendor::gemm(stream, transpose_a, transpose_b, m, n, k, a, b, bias, c, write, workspace, strides)) return;
  const GemmOperands own{a, b, c, write};
  multiply(stream, transpose_a, transpose_b, m, n, k, &own, 1, bias, workspace, strides);
}

// A library takes all of them or none, because it decides by the sizes.
size_t gemm_batch_workspace_bytes(Stream stream, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                                  int length, const GemmStrides& given) {
  const GemmStrides strides = given.of(transpose_a, transpose_b, m, n, k);
  size_t bytes = gemm_workspace_bytes(stream, transpose_a, transpose_b, m, n, k, strides);
  for (int first = 0; first < length; first += kMostProducts)
    bytes = std::max(bytes, native_bytes(stream, transpose_a, transpose_b, m, n, k,
                                         std::min(kMostProducts, length - first), strides));
  return bytes;
}

void gemm_batch(Stream stream, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                const GemmOperands* list, int length, void* workspace, const GemmStrides& given) {
  const GemmStrides strides = given.of(transpose_a, transpose_b, m, n, k);
  check(m, n, k, strides, nullptr);
  int done = 0;
  while (done < length && vendor::gemm(stream, transpose_a, transpose_b, m, n, k, list[done].a, list[done].b, nullptr,
                                       list[done].c, list[done].write, workspace, strides))
    done++;
  for (; done < length; done += kMostProducts)
    multiply(stream, transpose_a, transpose_b, m, n, k, list + done, std::min(kMostProducts, length - done), nullptr,
             workspace, strides);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
