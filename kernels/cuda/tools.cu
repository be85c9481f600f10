// What training needs around the network: norms, scaling, the finite check, layouts, random numbers.
//   l2_norm          sqrt(sum x^2): a partial sum per block in double, then one block adds them, both in a fixed order.
//                    Reads x once; double keeps squares of large gradients from overflowing
//   scale            reads and writes x
//   check_finite     reads x once; blocks only ever lower the answer from 1 to 0
//   transpose        tiles of up to 1024 elements through shared memory, padded by a column where its pitch is even:
//                    neighbours in a warp are neighbours in memory when reading and when writing, for narrow matrices
//                    too, where a tile takes whole rows. Reads and writes every element once
//   random_*         Philox4x32-10 of core/base/random.h, a thread per block of four words. Only writes
#include <limits>

#include "core/base/random.h"
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

__global__ void __launch_bounds__(kFlatThreads) scale_kernel(real* x, int64_t count, real factor, bool packed) {
  each_flat(count, packed, [&]<int N>(int64_t i) {
    Pack<real, N> v = load_pack<N>(x + i);
    for (int j = 0; j < N; j++) v.lane[j] *= factor;
    store_pack(x + i, v);
  });
}

__global__ void set_finite_kernel(int32_t* finite) { *finite = 1; }

__global__ void __launch_bounds__(kFlatThreads)
    check_finite_kernel(const real* x, int64_t count, bool packed, int32_t* finite) {
  bool good = true;
  each_flat(count, packed, [&]<int N>(int64_t i) {
    const Pack<real, N> v = load_pack<N>(x + i);
    for (int j = 0; j < N; j++) good &= fabs(v.lane[j]) <= std::numeric_limits<real>::max();
  });
  if (!__syncthreads_and(good) && threadIdx.x == 0) atomicAnd(finite, 0);
}

// A tile of a matrix (rows, columns); its pitch in shared memory is odd, so that a column's elements lie in different
// banks.
struct Tile {
  int rows, columns;
  __host__ __device__ int pitch() const { return columns | 1; }
};

constexpr int kTileThreads = 256, kTileElements = 1024;

// Wide in both directions where the matrix is; else the whole of the narrow one and as much as fits of the other, a
// multiple of the 8 reals of a sector.
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

__global__ void __launch_bounds__(kTileThreads)
    transpose_kernel(const real* from, int64_t rows, int64_t columns, Tile tile, int64_t tiles_down,
                     int64_t tiles_across, real* to) {
  real* shared = &shared_memory<real>();  // (tile.rows, tile.pitch())
  const int64_t matrix = blockIdx.x / (tiles_down * tiles_across), place = blockIdx.x % (tiles_down * tiles_across);
  const int64_t row = place / tiles_across * tile.rows, column = place % tiles_across * tile.columns;
  const int height = static_cast<int>(rows - row < tile.rows ? rows - row : tile.rows);
  const int width = static_cast<int>(columns - column < tile.columns ? columns - column : tile.columns);
  from += matrix * rows * columns + row * columns + column;
  to += matrix * rows * columns + column * rows + row;
  for (int e = threadIdx.x; e < height * width; e += kTileThreads)
    shared[e / width * tile.pitch() + e % width] = from[e / width * columns + e % width];
  __syncthreads();
  for (int e = threadIdx.x; e < height * width; e += kTileThreads)
    to[e / height * rows + e % height] = shared[e % height * tile.pitch() + e / height];
}

struct RandomStream {
  std::array<uint32_t, 2> key;
  std::array<uint32_t, 4> counter;

  // Words 4 * block to 4 * block + 3.
  __device__ std::array<uint32_t, 4> words(int64_t block) const {
    return philox({static_cast<uint32_t>(block), counter[1], counter[2], counter[3]}, key);
  }
};

RandomStream random_stream(uint64_t seed, uint32_t purpose, uint32_t epoch, uint32_t index) {
  return {{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)}, {0, purpose, epoch, index}};
}

// Values first, first + 1, ... of a block to `to`, at once where it is possible.
template <int N, class T>
__device__ void store_random(const Pack<T, N>& values, int64_t first, int64_t count, bool packed, T* to) {
  if (packed && first + N <= count) return store_pack(to + first, values);
  for (int j = 0; j < N && first + j < count; j++) to[first + j] = values.lane[j];
}

__global__ void __launch_bounds__(kFlatThreads)
    random_bits_kernel(RandomStream random, uint32_t* to, int64_t count, bool packed) {
  const int64_t block = int64_t{blockIdx.x} * kFlatThreads + threadIdx.x;
  if (block * 4 >= count) return;
  const std::array<uint32_t, 4> words = random.words(block);
  store_random(Pack<uint32_t, 4>{{words[0], words[1], words[2], words[3]}}, block * 4, count, packed, to);
}

// 53 random bits, the lower ones dropped where real holds fewer: never rounded up to 1.
__device__ real uniform(uint32_t first, uint32_t second) {
  constexpr int kDigits = std::numeric_limits<real>::digits;
  const uint64_t bits = uint64_t{first >> 5} << 26 | second >> 6;
  return static_cast<real>(bits >> (53 - kDigits)) * (real{1} / static_cast<real>(uint64_t{1} << kDigits));
}

__global__ void __launch_bounds__(kFlatThreads)
    random_uniform_kernel(RandomStream random, real* to, int64_t count, bool packed) {
  const int64_t block = int64_t{blockIdx.x} * kFlatThreads + threadIdx.x;
  if (block * 2 >= count) return;
  const std::array<uint32_t, 4> words = random.words(block);
  store_random(Pack<real, 2>{{uniform(words[0], words[1]), uniform(words[2], words[3])}}, block * 2, count, packed, to);
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

void scale(Stream stream, real* x, int64_t count, real factor) {
  KERNEL_CHECK(count > 0, "values");
  const bool packed = flat_packs_fit(x);
  LAUNCH(scale_kernel, flat_blocks(count, packed), kFlatThreads, 0, stream, x, count, factor, packed);
}

void check_finite(Stream stream, const real* x, int64_t count, int32_t* finite) {
  KERNEL_CHECK(count > 0, "values");
  const bool packed = flat_packs_fit(x);
  LAUNCH(set_finite_kernel, 1, 1, 0, stream, finite);
  LAUNCH(check_finite_kernel, flat_blocks(count, packed), kFlatThreads, 0, stream, x, count, packed, finite);
}

void transpose(Stream stream, const real* from, int64_t batch, int64_t rows, int64_t columns, real* to) {
  KERNEL_CHECK(batch > 0 && rows > 0 && columns > 0, "matrices");
  const Tile tile = choose_tile(rows, columns);
  const int64_t tiles_down = divide_up(rows, tile.rows), tiles_across = divide_up(columns, tile.columns);
  const int64_t blocks = batch * tiles_down * tiles_across;
  KERNEL_CHECK(blocks <= std::numeric_limits<int32_t>::max(), "fewer tiles");
  LAUNCH(transpose_kernel, static_cast<unsigned>(blocks), kTileThreads,
         sizeof(real) * static_cast<size_t>(tile.rows * tile.pitch()), stream, from, rows, columns, tile, tiles_down,
         tiles_across, to);
}

void random_bits(Stream stream, uint64_t seed, uint32_t purpose, uint32_t epoch, uint32_t index, uint32_t* to,
                 int64_t count) {
  KERNEL_CHECK(count > 0, "numbers");
  const auto blocks = static_cast<unsigned>(divide_up(count, 4 * kFlatThreads));
  LAUNCH(random_bits_kernel, blocks, kFlatThreads, 0, stream, random_stream(seed, purpose, epoch, index), to, count,
         flat_packs_fit(to));
}

void random_uniform(Stream stream, uint64_t seed, uint32_t purpose, uint32_t epoch, uint32_t index, real* to,
                    int64_t count) {
  KERNEL_CHECK(count > 0, "numbers");
  const auto blocks = static_cast<unsigned>(divide_up(count, 2 * kFlatThreads));
  LAUNCH(random_uniform_kernel, blocks, kFlatThreads, 0, stream, random_stream(seed, purpose, epoch, index), to, count,
         flat_packs_fit(to));
}

}  // namespace mpanet::PRECISION::KERNEL_NS
