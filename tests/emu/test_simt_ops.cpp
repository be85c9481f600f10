// The emulation's warp operations, barriers, atomics and bit functions against plain loops.
#define PRECISION f32
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <functional>

#include "core/base/random.h"
#include "kernels/cuda/numeric.cuh"
#include "kernels/memory.h"
#include "tests/support/schedules.h"

namespace mpanet::f32::emu {
namespace {

constexpr Stream kStream = nullptr;

// A kernel whose threads run body(thread).
using Body = std::function<void(int)>;
__global__ void body_kernel(const Body* body) { (*body)(static_cast<int>(threadIdx.x)); }
void launch(int threads, size_t shared_bytes, const Body& body) {
  LAUNCH(body_kernel, 1, threads, shared_bytes, kStream, &body);
}

// Runs body(lane, value) in a warp for kTrials sets of random values and compares the results with
// expected(lane, values).
template <class T, class Body, class Expected>
void check_warp(const char* what, const Body& body, const Expected& expected) {
  constexpr int kTrials = 20;
  const KeepSeed keep;
  for (int trial = 0; trial < kTrials; trial++) {
    simt::set_seed(static_cast<uint32_t>(trial));
    Random random(1, Purpose::Test, 2, static_cast<uint32_t>(trial));
    std::array<T, kWarp> values;
    for (T& value : values) value = static_cast<T>(static_cast<int64_t>(random.below(6)) - 2);
    std::array<decltype(body(0, T{})), kWarp> got{};
    launch(kWarp, 0, [&](int lane) { got[lane] = body(lane, values[lane]); });
    for (int lane = 0; lane < kWarp; lane++) {
      INFO(what << ", trial " << trial << ", lane " << lane);
      REQUIRE(got[lane] == expected(lane, values));
    }
  }
}

template <class T>
using Values = std::array<T, kWarp>;

template <class T>
void check_shuffles() {
  for (const int width : {1, 2, 8, 32})
    for (const int n : {0, 1, 3, 7, 16, 31}) {
      const auto segment = [=](int lane) { return lane / width * width; };
      check_warp<T>(
          "__shfl_sync", [=](int, T value) { return __shfl_sync(kAllLanes, value, n, width); },
          [=](int lane, const Values<T>& values) { return values[segment(lane) + n % width]; });
      check_warp<T>(
          "__shfl_up_sync", [=](int, T value) { return __shfl_up_sync(kAllLanes, value, n, width); },
          [=](int lane, const Values<T>& values) { return values[lane - n >= segment(lane) ? lane - n : lane]; });
      check_warp<T>(
          "__shfl_down_sync", [=](int, T value) { return __shfl_down_sync(kAllLanes, value, n, width); },
          [=](int lane, const Values<T>& values) {
            return values[lane + n < segment(lane) + width ? lane + n : lane];
          });
      check_warp<T>(
          "__shfl_xor_sync", [=](int, T value) { return __shfl_xor_sync(kAllLanes, value, n, width); },
          [=](int lane, const Values<T>& values) {
            return values[(lane ^ n) < segment(lane) + width ? lane ^ n : lane];
          });
    }
}

TEST_CASE("shuffles of every type and width") {
  check_shuffles<int>();
  check_shuffles<unsigned>();
  check_shuffles<float>();
  check_shuffles<double>();
  check_shuffles<int64_t>();
}

TEST_CASE("votes and matches") {
  const auto ballot = [](const Values<int>& values, auto matches) {
    unsigned bits = 0;
    for (int lane = 0; lane < kWarp; lane++) bits |= static_cast<unsigned>(matches(values[lane])) << lane;
    return bits;
  };
  check_warp<int>(
      "__ballot_sync", [](int, int value) { return __ballot_sync(kAllLanes, value > 0); },
      [=](int, const Values<int>& values) { return ballot(values, [](int v) { return v > 0; }); });
  for (const int limit : {-2, -1, 3, 4}) {
    check_warp<int>(
        "__all_sync", [=](int, int value) { return __all_sync(kAllLanes, value >= limit); },
        [=](int, const Values<int>& values) {
          return static_cast<int>(ballot(values, [=](int v) { return v >= limit; }) == kAllLanes);
        });
    check_warp<int>(
        "__any_sync", [=](int, int value) { return __any_sync(kAllLanes, value >= limit); },
        [=](int, const Values<int>& values) {
          return static_cast<int>(ballot(values, [=](int v) { return v >= limit; }) != 0);
        });
  }
  check_warp<int>(
      "__match_any_sync", [](int, int value) { return __match_any_sync(kAllLanes, value); },
      [=](int lane, const Values<int>& values) { return ballot(values, [&](int v) { return v == values[lane]; }); });
  check_warp<int>(
      "__match_all_sync",
      [](int, int value) {
        int same = 0, different = 0;
        const unsigned all = __match_all_sync(kAllLanes, 5, &same);
        const unsigned none = __match_all_sync(kAllLanes, value, &different);
        return all == kAllLanes && same == 1 && none == 0 && different == 0;
      },
      [](int, const Values<int>&) { return true; });
}

TEST_CASE("operations on part of a warp") {
  // Thirds of a warp, each with its own mask; lanes with the same remainder.
  check_warp<int>(
      "parts",
      [](int lane, int value) {
        const unsigned mask = __match_any_sync(kAllLanes, lane % 3);
        const int first = __ffs(static_cast<int>(mask)) - 1;
        return __shfl_sync(mask, value, first) + 100 * __popc(__ballot_sync(mask, value > 0));
      },
      [](int lane, const Values<int>& values) {
        int positive = 0;
        for (int other = lane % 3; other < kWarp; other += 3) positive += values[other] > 0;
        return values[lane % 3] + 100 * positive;
      });
  // Warp operations do not wait for exited lanes.
  std::array<int, kWarp> sum{};
  launch(kWarp, 0, [&](int lane) {
    if (lane >= 20) return;
    sum[lane] = __reduce_add_sync(kAllLanes, lane);
    __syncwarp();
  });
  CHECK(sum[0] == 19 * 20 / 2);
  CHECK(sum[31] == 0);
}

TEST_CASE("reductions over lanes") {
  const auto fold = [](const Values<int>& values, auto combine) {
    int all = values[0];
    for (int lane = 1; lane < kWarp; lane++) all = combine(all, values[lane]);
    return all;
  };
  const auto check = [&](const char* what, auto reduce, auto combine) {
    check_warp<int>(
        what, [=](int, int value) { return reduce(value); },
        [=](int, const Values<int>& values) { return fold(values, combine); });
  };
  const auto bits = [](int value) { return static_cast<unsigned>(value); };
  check(
      "add", [](int v) { return __reduce_add_sync(kAllLanes, v); }, [](int a, int b) { return a + b; });
  check(
      "min", [](int v) { return __reduce_min_sync(kAllLanes, v); }, [](int a, int b) { return std::min(a, b); });
  check(
      "max", [](int v) { return __reduce_max_sync(kAllLanes, v); }, [](int a, int b) { return std::max(a, b); });
  check(
      "and", [=](int v) { return static_cast<int>(__reduce_and_sync(kAllLanes, bits(v))); }, std::bit_and<int>());
  check(
      "or", [=](int v) { return static_cast<int>(__reduce_or_sync(kAllLanes, bits(v))); }, std::bit_or<int>());
  check(
      "xor", [=](int v) { return static_cast<int>(__reduce_xor_sync(kAllLanes, bits(v))); }, std::bit_xor<int>());
  // -1 is the largest unsigned number.
  check(
      "unsigned max", [=](int v) { return static_cast<int>(__reduce_max_sync(kAllLanes, bits(v))); },
      [=](int a, int b) { return static_cast<int>(std::max(bits(a), bits(b))); });
}

TEST_CASE("barriers that count") {
  constexpr int kThreads = 100;
  std::array<int, kThreads> count{}, both{}, all{}, some{}, none{};
  launch(kThreads, 0, [&](int i) {
    count[i] = __syncthreads_count(i % 3 == 0);
    both[i] = __syncthreads_count(i < 50);
    all[i] = __syncthreads_and(i + 1);
    some[i] = __syncthreads_or(i == 77) + 2 * __syncthreads_and(i != 77);
    none[i] = __syncthreads_or(0);
  });
  for (int i = 0; i < kThreads; i++) {
    REQUIRE(count[i] == 34);
    REQUIRE(both[i] == 50);
    REQUIRE(all[i] == 1);
    REQUIRE(some[i] == 1);
    REQUIRE(none[i] == 0);
  }
}

TEST_CASE("a kernel without barriers never leaves its stack") {
  const simt::Counts before = simt::counts();
  std::array<int, 1024> seen{};
  launch(1024, 0, [&](int i) { seen[i]++; });
  CHECK(simt::counts().switches == before.switches);
  CHECK(simt::counts().threads == before.threads + 1024);
  for (const int times : seen) REQUIRE(times == 1);
}

struct Totals {
  int sum, smallest, largest;
  unsigned bits, last;
  unsigned long long big;
  float floats;
  double doubles;
};

__global__ void totals_kernel(Totals* totals) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  atomicAdd(&totals->sum, i);
  atomicMin(&totals->smallest, -i);
  atomicMax(&totals->largest, i);
  atomicOr(&totals->bits, 1u << i % 20);
  atomicAdd(&totals->big, 1ull << 33);
  atomicAdd(&totals->floats, 1.0f);
  atomicAdd(&totals->doubles, 0.5);
  unsigned old = totals->last;  // an atomic maximum by compare and swap
  while (old < static_cast<unsigned>(i)) {
    const unsigned seen = atomicCAS(&totals->last, old, static_cast<unsigned>(i));
    if (seen == old) break;
    old = seen;
  }
}

TEST_CASE("atomics of blocks on several host threads") {
  constexpr int kBlocks = 300, kThreads = 64, kCount = kBlocks * kThreads;
  simt::set_threads(4);
  Totals totals{};
  LAUNCH(totals_kernel, kBlocks, kThreads, 0, kStream, &totals);
  simt::set_threads(0);
  CHECK(totals.sum == kCount / 2 * (kCount - 1));
  CHECK(totals.smallest == 1 - kCount);
  CHECK(totals.largest == kCount - 1);
  CHECK(totals.bits == (1u << 20) - 1);
  CHECK(totals.big == (1ull << 33) * kCount);
  CHECK(totals.floats == kCount);
  CHECK(totals.doubles == kCount / 2);
  CHECK(totals.last == kCount - 1);
}

__global__ void indices_kernel(int* count, dim3 grid, dim3 block) {
  const uint64_t b = blockIdx.x + uint64_t{grid.x} * (blockIdx.y + uint64_t{grid.y} * blockIdx.z);
  const uint64_t t = threadIdx.x + uint64_t{block.x} * (threadIdx.y + uint64_t{block.y} * threadIdx.z);
  const bool right = gridDim.x == grid.x && gridDim.y == grid.y && gridDim.z == grid.z && blockDim.x == block.x &&
                     blockDim.y == block.y && blockDim.z == block.z;
  if (right) count[b * block.count() + t]++;
}

TEST_CASE("every thread of every block runs once, under every seed") {
  const dim3 grid(7, 3, 2), block(5, 9, 3);
  std::vector<int> count, clear(grid.count() * block.count(), 0), once(clear.size(), 1);
  CHECK(schedule_difference("indices", count, clear, once, [&] {
          LAUNCH(indices_kernel, grid, block, 0, kStream, count.data(), grid, block);
        }).empty());
}

TEST_CASE("shared memory begins as NaN, beyond 48 KiB too") {
  struct Big {
    float value[(200 << 10) / 4];
  };
  int numbers = 0;
  for (int times = 0; times < 2; times++)
    launch(1, sizeof(Big), [&](int) {
      for (float& value : shared_memory<Big>().value) numbers += !std::isnan(value), value = 1;
    });
  CHECK(numbers == 0);
}

TEST_CASE("functions on bits") {
  Random random(1, Purpose::Test, 4, 0);
  for (int trial = 0; trial < 1000; trial++) {
    const unsigned x = random.below(0xffffffffu) >> random.below(32), y = random.below(0xffffffffu);
    int ones = 0, first = 0, leading = 32;
    unsigned reversed = 0;
    for (int i = 0; i < 32; i++) {
      if ((x >> i & 1) == 0) continue;
      ones++;
      if (first == 0) first = i + 1;
      leading = 31 - i;
      reversed |= 1u << (31 - i);
    }
    REQUIRE(__popc(x) == ones);
    REQUIRE(__ffs(static_cast<int>(x)) == first);
    REQUIRE(__clz(static_cast<int>(x)) == leading);
    REQUIRE(__brev(x) == reversed);
    REQUIRE(__umulhi(x, y) == static_cast<unsigned>((static_cast<unsigned __int128>(x) * y) >> 32));
    REQUIRE(__funnelshift_l(y, x, 0) == x);
    REQUIRE(__funnelshift_l(y, x, 8) == (x << 8 | y >> 24));
    REQUIRE(__funnelshift_r(y, x, 8) == (y >> 8 | x << 24));
    REQUIRE(__byte_perm(x, y, 0x3210) == x);
    REQUIRE(__byte_perm(x, y, 0x7654) == y);
    REQUIRE(__byte_perm(x, y, 0x89ab) == __builtin_bswap32(x));
  }
}

}  // namespace
}  // namespace mpanet::f32::emu
