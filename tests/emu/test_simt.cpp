// The emulation finds planted faults (simt_faults.cpp) and reports kernel, block, thread and line. After each fault the
// next launch works.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <numeric>

#include "core/base/error.h"
#include "kernels/memory.h"
#include "tests/emu/simt_faults.h"
#include "tests/support/schedules.h"
#include "tests/support/text.h"

namespace mpanet {
namespace {

using namespace simt_faults;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kAddressSanitizer = true;  // it would end the program at some of the planted accesses
#else
constexpr bool kAddressSanitizer = false;
#endif

std::vector<float> counting() {
  std::vector<float> values(kThreads);
  std::iota(values.begin(), values.end(), 1.0f);
  return values;
}
std::vector<float> counting_down() {
  std::vector<float> values = counting();
  std::reverse(values.begin(), values.end());
  return values;
}

// "simt_faults.cpp:LINE" of the line marked "LINE: name".
std::string line_of(const std::string& name) {
  std::ifstream file(SOURCE_DIR "/tests/emu/simt_faults.cpp");
  std::string line;
  for (int number = 1; std::getline(file, line); number++)
    if (line.ends_with("// LINE: " + name)) return fmt::format("simt_faults.cpp:{}", number);
  FAIL("no line " << name);
  return {};
}

// The report of a launch, which must be one line. Also checks that a launch without a fault works afterwards.
template <class Launch>
std::string report(const Launch& launch) {
  std::string text;
  try {
    launch();
  } catch (const CheckError& error) {
    text = error.what();
  }
  CHECK(text.find('\n') == std::string::npos);
  std::vector<float> x = counting(), y(kThreads, 0.0f);
  reverse(x.data(), y.data());
  CHECK(y == counting_down());
  return text;
}

bool says(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts)
    if (!has(text, part)) {
      MESSAGE("'" << part << "' is missing in: " << text);
      return false;
    }
  return true;
}

// The report of a launch of f(y).
std::string report_of(void (*f)(float*)) {
  std::vector<float> y(kThreads + 1, 0.0f);
  return report([&] { f(y.data()); });
}

struct NoRaceCheck {
  NoRaceCheck() { simt::set_race_check(false); }
  ~NoRaceCheck() { simt::set_race_check(true); }
};

// Compares the output of f with `expected` under many schedules, without the race check.
std::string difference(void (*f)(const float*, float*), const char* kernel, const std::vector<float>& expected) {
  const NoRaceCheck off;
  const std::vector<float> x = counting(), clear(kThreads, 0.0f);
  std::vector<float> y;
  return schedule_difference(kernel, y, clear, expected, [&] { f(x.data(), y.data()); });
}

struct Buffer {
  explicit Buffer(size_t bytes) : bytes(bytes), data(emu::allocate(nullptr, bytes)) {}
  ~Buffer() { emu::release(nullptr, data, bytes); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  float* floats() const { return static_cast<float*>(data); }
  size_t bytes;
  void* data;
};

TEST_CASE("a missing barrier shows under schedules, with kernel, seed and element") {
  CHECK(difference(reverse, "reverse", counting_down()).empty());
  CHECK(says(difference(reverse_without_barrier, "reverse_kernel", counting_down()),
             {"reverse_kernel: under seed 0 ele"}));
  CHECK(says(difference(reverse_without_second_barrier, "twice", counting()), {"twice: under seed ", "element "}));
}

TEST_CASE("almost every seed shows a missing barrier") {
  const NoRaceCheck off;
  const KeepSeed keep;
  const std::vector<float> x = counting();
  uint32_t shown = 0;
  for (uint32_t seed = 0; seed < kSchedules; seed++) {
    std::vector<float> y(kThreads);
    simt::set_seed(seed);
    reverse_without_barrier(x.data(), y.data());
    shown += y != counting_down();
  }
  CHECK(shown == kSchedules);
}

TEST_CASE("what cp.async brings is not there before the wait") {
  CHECK(difference(reverse_with_wait, "copy", counting_down()).empty());
  CHECK(says(difference(reverse_without_wait, "copy", counting_down()), {"copy: under seed 0 element 0 is", "nan"}));
  CHECK(says(difference(reverse_waiting_for_the_older, "copy", counting_down()), {"copy: under seed 0 element 0"}));
}

TEST_CASE("barriers that not all threads reach") {
  CHECK(says(report_of(divergent_barrier), {"divergent_barrier_kernel, block (", ", thread (", "divergent barrier",
                                            line_of("divergent barrier here"), line_of("divergent barrier there")}));
  CHECK(says(report_of(barrier_after_exit),
             {"barrier_after_exit_kernel, block (", "waits at __syncthreads for thread (5, 0, 0)", "which has exited",
              line_of("barrier after exit")}));
  CHECK(says(report_of(half_a_warp_at_the_barrier),
             {"half_a_warp_kernel, block (0, 0, 0), thread (", "divergent warp: __syncwarp",
              "which is at __syncthreads", line_of("half at the barrier"), line_of("half at the warp")}));
}

TEST_CASE("shuffles that not all lanes reach") {
  CHECK(says(report_of(divergent_shuffle), {"divergent_shuffle_kernel, block (0, 0, 0), thread (", "divergent warp",
                                            line_of("divergent shuffle here"), line_of("divergent shuffle there")}));
  CHECK(says(report_of(shuffle_outside_its_mask),
             {"shuffle_outside_kernel", "leaves out the lane that calls", line_of("outside its mask")}));
  CHECK(says(report_of(shuffle_from_nobody),
             {"shuffle_from_nobody_kernel", "reads lane 3, which takes no part", line_of("from nobody")}));
}

TEST_CASE("shared memory ends in a guard" * doctest::skip(kAddressSanitizer)) {
  {
    const NoRaceCheck off;
    CHECK(says(report_of(shared_overrun), {"shared_overrun_kernel, block (", "past the end of its 512 bytes"}));
  }
  if (simt::can_check_races())
    CHECK(says(report_of(shared_overrun), {"shared_overrun_kernel, block (", "thread (127, 0, 0)",
                                           "writes 4 bytes at byte 512 of its 512", line_of("shared overrun")}));
}

TEST_CASE("a kernel has the shared memory it was launched with") {
  CHECK(says(report_of(shared_too_small),
             {"shared_overrun_kernel", "uses 512 bytes of shared memory, launched with 508"}));
}

TEST_CASE("device memory lies between guards" * doctest::skip(kAddressSanitizer)) {
  constexpr int kCount = 1000;
  const Buffer buffer(kCount * sizeof(float));
  const auto after = [&](void (*f)(float*, int)) {
    return report([&] {
      f(buffer.floats(), kCount);
      emu::synchronize(nullptr);
    });
  };
  CHECK(says(after(device_overrun),
             {"written 0 bytes behind a buffer of 4000 bytes", "newest first: device_range_kernel"}));
  CHECK(says(after(device_underrun), {"bytes before a buffer of 4000 bytes", "device_range_kernel"}));
  CHECK_NOTHROW(emu::synchronize(nullptr));
}

TEST_CASE("a guard damaged at release is reported by the next synchronize" * doctest::skip(kAddressSanitizer)) {
  constexpr int kCount = 256;
  {
    const Buffer buffer(kCount * sizeof(float));
    device_overrun(buffer.floats(), kCount);
  }
  CHECK(says(report([] { emu::synchronize(nullptr); }), {"written 0 bytes behind a buffer of 1024 bytes"}));
  CHECK_NOTHROW(emu::synchronize(nullptr));
}

TEST_CASE("packs and copies of 16 bytes must be aligned") {
  alignas(16) const float x[8] = {};
  float y = 0;
  CHECK(says(report([&] { misaligned_pack(x, &y); }),
             {"misaligned_pack_kernel, block (0, 0, 0), thread (0, 0, 0)", "misaligned access: 16 bytes"}));
  CHECK(says(report([&] { misaligned_copy(x, &y); }),
             {"misaligned_copy_kernel", "misaligned", line_of("misaligned copy")}));
}

TEST_CASE("blocks that race give results that depend on the seed") {
  const NoRaceCheck off;
  simt::set_threads(1);  // with several, blocks that run at once give yet other results
  constexpr int kBlocks = 5;
  std::vector<float> y;
  const std::vector<float> clear(kBlocks, 0.0f), last(kBlocks, kBlocks - 1.0f), chain = {0, 1, 2, 3, 4};
  CHECK(says(schedule_difference("same", y, clear, last, [&] { blocks_write_the_same(y.data(), kBlocks, kBlocks); }),
             {"same: under seed ", "element 0 is"}));
  CHECK(says(schedule_difference("next", y, clear, chain, [&] { blocks_read_their_neighbours(y.data(), kBlocks); }),
             {"next: under seed ", "element "}));
  simt::set_threads(0);
}

TEST_CASE("instrumented kernels tell the lines of a race in shared memory") {
  if (!simt::can_check_races()) {
    MESSAGE("skipped: the faults are not compiled with memory-access hooks");
    return;
  }
  const std::vector<float> x = counting();
  std::vector<float> y(kThreads);
  CHECK(says(report([&] { reverse_without_barrier(x.data(), y.data()); }),
             {"reverse_kernel, block (0, 0, 0), thread (", "race in shared memory, with no barrier between",
              line_of("reverse write"), line_of("reverse read")}));
  CHECK(says(report([&] { reverse_without_second_barrier(x.data(), y.data()); }),
             {"reverse_twice_kernel", line_of("twice read"), line_of("twice write")}));
}

TEST_CASE("instrumented kernels tell the lines of a race between blocks") {
  if (!simt::can_check_races()) {
    MESSAGE("skipped: the faults are not compiled with memory-access hooks");
    return;
  }
  constexpr int kBlocks = 64;
  const Buffer y(kBlocks * sizeof(float)), partial(kBlocks * sizeof(float)), counter(sizeof(unsigned));
  CHECK(says(
      report([&] { blocks_write_the_same(y.floats(), kBlocks, kBlocks); }),
      {"same_kernel, block (", "race in device memory", "writes 4 bytes", "another block", line_of("blocks write")}));
  CHECK(says(report([&] { blocks_read_their_neighbours(y.floats(), kBlocks); }),
             {"neighbour_kernel, block (", "race in device memory", line_of("blocks read")}));
  const auto sum = [&](bool fence) {
    emu::fill_zero(nullptr, counter.data, counter.bytes);
    last_block_sums(partial.floats(), static_cast<unsigned*>(counter.data), y.floats(), kBlocks, fence);
  };
  CHECK(report([&] { sum(true); }).empty());
  CHECK(y.floats()[0] == kBlocks * (kBlocks - 1) / 2);
  CHECK(says(report([&] { sum(false); }),
             {"last_block_kernel", "race in device memory", line_of("partial write"), line_of("partial read")}));
}

TEST_CASE("an exception in a kernel names kernel, block and thread") {
  CHECK(says(report_of(throws), {"throws_kernel, block (0, 0, 0), thread (9, 0, 0): nine"}));
}

TEST_CASE("launches that a device refuses") {
  CHECK(says(report_of(too_many_threads), {"throws_kernel", "at most 1024 threads", "32 x 33 x 1 threads"}));
  if (simt::can_check_launch_bounds())
    CHECK(
        says(report_of(beyond_the_launch_bound), {"bounded_kernel", "at most 128 threads, the kernel's launch bound"}));
  CHECK(says(report_of(too_much_shared_memory), {"at most 227 KiB of shared memory"}));
  CHECK(says(report_of(empty_grid), {"expected something to do", "4 x 0 x 1 blocks"}));
}

TEST_CASE("the fault does not depend on the number of host threads") {
  const NoRaceCheck off;
  std::vector<std::string> reports;
  for (const int threads : {1, 2, 3}) {
    simt::set_threads(threads);
    reports.push_back(report_of(divergent_barrier));
  }
  simt::set_threads(0);
  CHECK(!reports[0].empty());
  CHECK(reports[1] == reports[0]);
  CHECK(reports[2] == reports[0]);
}

}  // namespace
}  // namespace mpanet
