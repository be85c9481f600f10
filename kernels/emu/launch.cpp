#include "kernels/emu/launch.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <numeric>
#include <utility>

#include "kernels/emu/block.h"
#include "kernels/emu/control.h"
#include "kernels/emu/device.h"

namespace mpanet::simt {
namespace {

uint32_t current_seed = 1;
int host_threads = 0;
std::function<bool(const LaunchShape&)> launch_watch;
std::atomic<uint32_t> launch_number = 0;
std::atomic<int64_t> block_total = 0, thread_total = 0, switch_total = 0;

// Throws CheckError for a launch that a device would refuse.
void check_launch(const Launch& launch, unsigned bound) {
  constexpr unsigned kMaxGridX = 0x7fffffff, kMaxGridYZ = 65535, kMaxBlockZ = 64;
  const dim3 grid = launch.grid, block = launch.block;
  const auto refuse = [&](const std::string& expected) {
    throw CheckError(
        fmt::format("{}: launch: expected {}; got a grid of {} x {} x {} blocks of {} x {} x {} threads "
                    "with {} bytes of shared memory",
                    launch.kernel, expected, grid.x, grid.y, grid.z, block.x, block.y, block.z, launch.shared_bytes));
  };
  if (grid.count() == 0 || block.count() == 0) refuse("something to do");
  if (grid.x > kMaxGridX || grid.y > kMaxGridYZ || grid.z > kMaxGridYZ)
    refuse("a grid of at most 2^31-1 x 65535 x 65535");
  if (block.count() > kMaxThreads || block.z > kMaxBlockZ) refuse("at most 1024 threads in a block and 64 along z");
  if (bound > 0 && block.count() > bound) refuse(fmt::format("at most {} threads, the kernel's launch bound", bound));
  if (launch.shared_bytes > kMaxSharedBytes) refuse("at most 227 KiB of shared memory");
}

// The order of blocks, a permutation: position -> (factor * position + offset) mod blocks.
struct Order {
  uint64_t blocks, factor = 1, offset = 0;
  Order(uint64_t blocks, uint32_t seed) : blocks(blocks) {
    if (seed == 0) return;
    uint64_t mixed = (seed + 1) * 0x9e3779b97f4a7c15u;
    mixed ^= mixed >> 29;
    offset = mixed % blocks;
    factor = mixed / blocks % blocks;
    while (std::gcd(factor, blocks) != 1) factor++;
  }
  uint64_t operator[](uint64_t position) const {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(factor) * position + offset) % blocks);
  }
};

// The fault of the block that is first in order, so that it does not depend on the number of host threads.
struct FirstFault {
  std::atomic<uint64_t> position = ~uint64_t{0};
  std::string text;
  std::mutex mutex;
  void take(uint64_t at, const std::string& fault) {
    const std::lock_guard lock(mutex);
    if (at < position) position = at, text = fault;
  }
};

Block& block_of_this_host_thread() {
  thread_local Block block;
  return block;
}

}  // namespace

bool can_check_launch_bounds() {
#if defined(MPANET_SIMT_LAUNCH_BOUNDS)
  return true;
#else
  return false;
#endif
}
void set_seed(uint32_t seed) { current_seed = seed; }
uint32_t seed() { return current_seed; }
void set_threads(int threads) { host_threads = threads; }
void watch_launches(std::function<bool(const LaunchShape&)> watch) { launch_watch = std::move(watch); }
Counts counts() { return {launch_number, block_total, thread_total, switch_total}; }

void run(const char* kernel, const void* entry, dim3 grid, dim3 block, size_t shared_bytes, unsigned bound,
         void (*body)(const void* arguments), const void* arguments) {
  const Launch launch{kernel, grid, block, shared_bytes, body, arguments, current_seed, ++launch_number};
  check_launch(launch, bound);
  if (launch_watch && !launch_watch({kernel, entry, grid.count(), static_cast<unsigned>(block.count()), shared_bytes}))
    return;
  note_kernel(kernel);
  const uint64_t blocks = grid.count();
  const Order order(blocks, launch.seed);
  FirstFault fault;
  std::atomic<uint64_t> next = 0;
  const auto work = [&] {
    Block& here = block_of_this_host_thread();
    const int64_t switches = here.switches();
    here.begin(launch);
    for (uint64_t position; (position = next++) < blocks && position < fault.position;) {
      const std::string text = here.run(order[position]);
      if (!text.empty()) fault.take(position, text);
    }
    switch_total += here.switches() - switches;
  };
  const int wanted = host_threads > 0 ? host_threads : omp_get_max_threads();
  const int team = static_cast<int>(std::min<uint64_t>(static_cast<uint64_t>(wanted), blocks));
  if (team == 1) {
    work();
  } else {
#pragma omp parallel num_threads(team)
    work();
  }
  block_total += static_cast<int64_t>(blocks);
  thread_total += static_cast<int64_t>(blocks * block.count());
  if (!fault.text.empty()) throw CheckError(fault.text + fmt::format(" (schedule seed {})", launch.seed));
}

}  // namespace mpanet::simt
