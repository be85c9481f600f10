// Kernels for training besides the network: norms, the finite check, layouts.
//   l2_norm          sqrt(sum x^2): a partial sum per block in double, then one block adds them, both in a fixed order.
//                    Reads x once. In double, squares of large gradients cannot overflow
//   check_finite     reads x once. A block changes the result to 0 or not at all
//   transpose        tiles of up to 1024 elements in shared memory, with an odd pitch. Adjacent threads read and write
//                    adjacent elements, also for narrow matrices, whose tiles have whole rows. Reads and writes every
//                    element once
#include <limits>

#include "kernels/cuda/flat.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr int kNormBlocks = 1024;

struct NormShared {
  double values[kWarp];
};

__global__ void __launch_bounds__(kFlatThreads)
    squares_kernel(const real* x, int64_t count, bool packed, double* partial) {
  NormShared& s = shared_memory<NormShared>();
  double sum = 0;
  each_flat(count, packed, [&]<int N>(int64_t i) {
    const Pack<real, N> v = load_pack<N>(x + i);
    for (int j = 0; j < N; j++) sum += static_cast<double>(v.lane[j]) * static_cast<double>(v.lane[j]);
  });
  sum = block_reduce(sum, s.values);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kFlatThreads) norm_kernel(const double* partial, int count, real* norm) {
  NormShared& s = shared_memory<NormShared>();
  double sum = 0;
  for (int i = threadIdx.x; i < count; i += kFlatThreads) sum += partial[i];
  sum = block_reduce(sum, s.values);
  if (threadIdx.x == 0) *norm = static_cast<real>(sqrt(sum));
}

__global__ void __launch_bounds__(kFlatThreads)
    check_finite_kernel(const real* x, int64_t count, bool packed, int32_t* finite) {
  bool good = true;
  each_flat(count, packed, [&]<int N>(int64_t i) {
    const Pack<real, N> v = load_pack<N>(x + i);
    for (int j = 0; j < N; j++) good &= fabs(v.lane[j]) <= std::numeric_limits<real>::max();
  });
  if (!__syncthreads_and(good) && threadIdx.x == 0) atomicAnd(finite, 0);
}

// A tile of a matrix (rows, columns). Its pitch in shared memory is odd, so that the elements of a column are in
// different banks.
struct Tile {
  int rows, columns;
  __host__ __device__ int pitch() const { return columns | 1; }
};

constexpr int kTransposeThreads = 256, kTileElements = 1024;

// 32 x 32, or for a narrow matrix its whole narrow side and as much as fits of the other side, a multiple of the 8
// reals of a sector.
Tile choose_tile(int64_t rows, int64_t columns) {
  const auto within = [](int64_t size, int limit) {
    return static_cast<int>(size <= limit ? size : limit >= 8 ? limit / 8 * 8 : limit);
  };
  Tile tile{};
  tile.rows = within(rows, 32);
  tile.columns = within(columns, tile.rows == 32 && columns >= 32 ? 32 : kTileElements / tile.rows);
  tile.rows = within(rows, kTileElements / tile.columns);
  return tile;
}

__global__ void __launch_bounds__(kTransposeThreads)
    transpose_kernel(const real* from, int64_t rows, int64_t columns, Tile tile, int64_t tiles_down,
                     int64_t tiles_across, real* to) {
  real* shared = &shared_memory<real>();  // (tile.rows, tile.pitch())
  const int64_t matrix = blockIdx.x / (tiles_down * tiles_across), index = blockIdx.x % (tiles_down * tiles_across);
  const int64_t row = index / tiles_across * tile.rows, column = index % tiles_across * tile.columns;
  const int height = static_cast<int>(rows - row < tile.rows ? rows - row : tile.rows);
  const int width = static_cast<int>(columns - column < tile.columns ? columns - column : tile.columns);
  from += matrix * rows * columns + row * columns + column;
  to += matrix * rows * columns + column * rows + row;
  for (int e = threadIdx.x; e < height * width; e += kTransposeThreads)
    shared[e / width * tile.pitch() + e % width] = from[e / width * columns + e % width];
  __syncthreads();
  for (int e = threadIdx.x; e < height * width; e += kTransposeThreads)
    to[e / height * rows + e % height] = shared[e % height * tile.pitch() + e / height];
}

}  // namespace

size_t l2_norm_workspace_bytes(int64_t count) { return sizeof(double) * flat_blocks(count, false, kNormBlocks); }

void l2_norm(Stream stream, const real* x, int64_t count, real* norm, void* workspace) {
  KERNEL_CHECK(count > 0, "values");
  const bool packed = flat_packs_fit(x);
  const unsigned blocks = flat_blocks(count, packed, kNormBlocks);
  auto* partial = static_cast<double*>(workspace);
  LAUNCH(squares_kernel, blocks, kFlatThreads, sizeof(NormShared), stream, x, count, packed, partial);
  LAUNCH(norm_kernel, 1, kFlatThreads, sizeof(NormShared), stream, partial, static_cast<int>(blocks), norm);
}

void check_finite(Stream stream, const real* x, int64_t count, int32_t* finite) {
  KERNEL_CHECK(count > 0, "values");
  const bool packed = flat_packs_fit(x);
  LAUNCH(check_finite_kernel, flat_blocks(count, packed), kFlatThreads, 0, stream, x, count, packed, finite);
}

void transpose(Stream stream, const real* from, int64_t batch, int64_t rows, int64_t columns, real* to) {
  KERNEL_CHECK(batch > 0 && rows > 0 && columns > 0, "matrices");
  const Tile tile = choose_tile(rows, columns);
  const int64_t tiles_down = divide_up(rows, tile.rows), tiles_across = divide_up(columns, tile.columns);
  const int64_t blocks = batch * tiles_down * tiles_across;
  KERNEL_CHECK(blocks <= std::numeric_limits<int32_t>::max(), "fewer tiles");
  LAUNCH(transpose_kernel, static_cast<unsigned>(blocks), kTransposeThreads,
         sizeof(real) * static_cast<size_t>(tile.rows * tile.pitch()), stream, from, rows, columns, tile, tiles_down,
         tiles_across, to);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
