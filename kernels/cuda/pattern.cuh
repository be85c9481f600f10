// Common parts of the pattern alignment kernels, forward and backward.
//
// A block has one image, and passes over its pixels in groups of up to 8. A pixel's maps need the sums over all of its
// channels before anything can be summed over pixels, so the x of a group is copied to shared memory and read there
// twice. x is read once from memory.
//
//   group g   wait for the copies of group g; barrier; begin the copies of group g + stages - 1;
//             each warp sums its channels for all pixels of the group; barrier;
//             one thread per pixel and map adds the warps' sums, in order; barrier;
//             each warp multiplies the pixels' coefficients with its channels
//
// In ordinary arithmetic a thread has a pack of N channels. Kernels are compiled for P = 4, 6 and 8 maps; for other p
// the missing maps are zero. If c exceeds the channels of all threads, an image has several blocks. Each computes the
// sums over all channels, and the results of its own.
#pragma once
#include "kernels/cuda/numeric.cuh"
#include "kernels/cuda/ptx.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

constexpr int kMaxParts = 8, kMaxPixels = 8, kMaxStages = 3;

// One value per map for each pixel of a group.
using MapTable = real[kMaxPixels][kMaxParts];

// Copies of a group's maps and of their gradients, (pixels, p).
struct GivenMaps {
  real maps[kMaxPixels * kMaxParts], gradient[kMaxPixels * kMaxParts];
};

template <int kWarps>
struct alignas(128) PatternMemory {
  MapTable dots[kWarps];
  MapTable first, second;  // coefficients of the products
  real bias[kMaxPixels * kMaxParts];
  GivenMaps given[kMaxStages];
};

// A block's groups of pixels, and the stages of their copies. The copies of x follow PatternMemory in shared memory.
struct Groups {
  int hw, pixels, stages, stage_bytes;  // 2 or 3 stages; bytes: a multiple of 16
};

//   copy(stage, given, first, count)                 begins the copies of a group: `count` pixels from `first` on
//   dots(stage, count)                               writes memory.dots[warp][pixel][map]
//   finish(given, first, count, pixel, map, total)   of kMaxPixels and kMaxParts; total: the sum of all warps' dots
//   products(stage, first, count)
// All threads of the block must call.
template <int kWarps, class Copy, class Dots, class Finish, class Products>
__device__ inline void each_group(PatternMemory<kWarps>& memory, const Groups& groups, const Copy& copy,
                                  const Dots& dots, const Finish& finish, const Products& products) {
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  const int number = (groups.hw + groups.pixels - 1) / groups.pixels;
  const auto stage_of = [&](int group) {
    return reinterpret_cast<unsigned char*>(&memory + 1) + group % groups.stages * groups.stage_bytes;
  };
  // Every group of pixels has a group of copies, so that the number of these says which have arrived. It may be empty.
  const auto begin_copy = [&](int group) {
    const int first = group * groups.pixels;
    if (group < number)
      copy(stage_of(group), memory.given[group % groups.stages], first, min(groups.pixels, groups.hw - first));
    cp_async_commit();
  };
  for (int group = 0; group < groups.stages - 1; group++) begin_copy(group);
  ONE_BY_ONE
  for (int group = 0; group < number; group++) {
    const int first = group * groups.pixels, count = min(groups.pixels, groups.hw - first);
    const unsigned char* stage = stage_of(group);
    if (groups.stages == 2)
      cp_async_wait<0>();
    else
      cp_async_wait<1>();
    __syncthreads();
    begin_copy(group + groups.stages - 1);  // to the stage that was read before the barrier
    dots(stage, count);
    __syncthreads();
    for (int i = thread; i < kMaxPixels * kMaxParts; i += threads) {
      const int pixel = i / kMaxParts, j = i % kMaxParts;
      real total = 0;
      for (int warp = 0; pixel < count && warp < threads / kWarp; warp++) total += memory.dots[warp][pixel][j];
      finish(memory.given[group % groups.stages], first, count, pixel, j, total);
    }
    __syncthreads();
    products(stage, first, count);
  }
}

// ---- Ordinary arithmetic. ------------------------------------------------------------------------------------------

using PlainMemory = PatternMemory<16>;
constexpr int kPlainLanes = kFull<real>;  // of a thread, where packs fit
// Sums and coefficients of all maps must fit in the registers that so many threads leave.
template <int P>
constexpr int kMostThreads = P == kMaxParts ? 256 : 512;
// Pixels whose dots a warp sums at once.
constexpr int kAtOnce = sizeof(real) == 8 ? 2 : 4;

// Copies the x of some pixels, which are contiguous. N = 1: neither width nor address suits copies of 16 bytes.
template <int N>
__device__ inline void copy_pixels(unsigned char* stage, const storage* from, int count) {
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  if constexpr (N > 1) {
    constexpr int kLanes = kFull<storage>;
    auto* to = reinterpret_cast<storage*>(stage);
    for (int i = thread * kLanes; i < count; i += threads * kLanes) cp_async_16(to + i, from + i);
  } else {
    for (int i = thread; i < count; i += threads) reinterpret_cast<storage*>(stage)[i] = from[i];
  }
}

template <int P>
__device__ inline void read_row(const real (&row)[kMaxParts], real (&to)[P]) {
  constexpr int N = kFull<real>;
  UNROLL
  for (int j = 0; j < P; j += N) {
    const Pack<real, N> pack = load_pack<N>(row + j);
    UNROLL
    for (int k = 0; k < N && j + k < P; k++) to[j + k] = pack.lane[k];
  }
}

// coefficient[j][v] = from[j * c + v] for j < p, else 0.
template <int P, int N>
__device__ inline void read_coefficients(const real* from, int c, int p, bool inside, real (&coefficient)[P][N]) {
  UNROLL
  for (int j = 0; j < P; j++) {
    UNROLL
    for (int v = 0; v < N; v++) coefficient[j][v] = 0;
    if (inside && j < p) load_lanes(from + int64_t{j} * c, coefficient[j]);
  }
}

// Every lane has COUNT values (a power of two, at most 32). Lane i gets the sum of all lanes' value i * COUNT / 32. In
// each step two lanes whose numbers differ in one bit exchange half of their values, so 32 sums take 31 shuffles, and
// 16 take 16.
template <int COUNT, int OFFSET = kWarp / 2>
__device__ inline real sum_and_scatter(real* value, int lane) {
  constexpr int kHalf = COUNT / 2;
  const bool upper = (lane & OFFSET) != 0;
  if constexpr (COUNT == 1) value[0] += __shfl_xor_sync(kAllLanes, value[0], OFFSET);
  UNROLL
  for (int i = 0; i < kHalf; i++) {
    const real give = upper ? value[i] : value[i + kHalf], keep = upper ? value[i + kHalf] : value[i];
    value[i] = keep + __shfl_xor_sync(kAllLanes, give, OFFSET);
  }
  if constexpr (OFFSET > 1) return sum_and_scatter<(COUNT > 1 ? kHalf : 1), OFFSET / 2>(value, lane);
  return value[0];
}

// The dots of all pixels of a group with the rows of `from` (p, c), which may be null: zero.
template <int P, int N>
__device__ inline void plain_dots(PlainMemory& memory, const unsigned char* stage, int count, const real* from, int c,
                                  int p) {
  const auto* x = reinterpret_cast<const storage*>(stage);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp, warp = thread / kWarp;
  const int width = static_cast<int>(blockDim.x) * N;
  for (int strip = 0; strip < c; strip += width) {
    const int channel = strip + thread * N;
    const bool inside = channel < c && from != nullptr;
    real coefficient[P][N];
    read_coefficients(from + channel, c, p, inside, coefficient);
    for (int pixel = 0; pixel < count; pixel += kAtOnce) {
      real dot[kAtOnce * kMaxParts] = {};
      UNROLL
      for (int i = 0; i < kAtOnce; i++) {
        real value[N] = {};
        if (inside && pixel + i < count) load_lanes(x + (pixel + i) * c + channel, value);
        UNROLL
        for (int v = 0; v < N; v++) {
          UNROLL
          for (int j = 0; j < P; j++) dot[i * kMaxParts + j] += value[v] * coefficient[j][v];
        }
      }
      constexpr int kCopies = kWarp / (kAtOnce * kMaxParts);
      const int mine = lane / kCopies;
      const real sum = sum_and_scatter<kAtOnce * kMaxParts>(dot, lane);
      if (lane % kCopies != 0) continue;
      real& to = memory.dots[warp][pixel + mine / kMaxParts][mine % kMaxParts];
      to = strip == 0 ? sum : to + sum;
    }
  }
}

// ---- Launches. -----------------------------------------------------------------------------------------------------

struct PlainLaunch {
  unsigned grid, threads;
  int strips;  // blocks of an image
  Groups groups;
  size_t shared_bytes;
};

inline PlainLaunch plain_launch(int n, int hw, int c, int lanes, int most_threads) {
  constexpr int kStageBytes = 24 << 10;  // 2 stages and the tables fit in the 64 KiB of sm_75
  const int64_t row = int64_t{c} * static_cast<int>(sizeof(storage));
  KERNEL_CHECK(row <= 40 << 10, "pixels of at most 40 KiB");
  const int64_t threads = min(divide_up(divide_up(c, lanes), kWarp) * kWarp, int64_t{most_threads});
  const int pixels = static_cast<int>(min(max(kStageBytes / row, int64_t{1}), int64_t{kMaxPixels}));
  const Groups groups{hw, pixels, 2, static_cast<int>(divide_up(pixels * row, 16) * 16)};
  const int64_t strips = divide_up(c, threads * lanes);
  KERNEL_CHECK(n * strips < int64_t{1} << 31, "fewer than 2^31 blocks");
  return {static_cast<unsigned>(n * strips), static_cast<unsigned>(threads), static_cast<int>(strips), groups,
          sizeof(PlainMemory) + static_cast<size_t>(groups.stages * groups.stage_bytes)};
}

inline void check_pattern(int n, int hw, int c, int p) {
  KERNEL_CHECK(p >= 1 && p <= kMaxParts, "1 to 8 pattern maps");
  KERNEL_CHECK(n > 0 && hw > 0 && c > 0 && hw < 1 << 24, "a batch with pixels and channels");
}

}  // namespace mpanet::PRECISION::KERNEL_NS
