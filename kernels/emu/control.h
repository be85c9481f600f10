// Control of the emulation, for tests.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>

namespace mpanet::simt {

// The seed determines for every launch the order of blocks, the warp that continues when another blocks, the first lane
// of a warp, and where a warp is interrupted. A warp runs until it blocks before another one runs, so a missing barrier
// shows under almost every seed. 0: everything in order. Default 1.
void set_seed(uint32_t seed);
uint32_t seed();

// Number of host threads that run blocks concurrently; 0 (default): as many as OpenMP uses. Results do not depend on
// it, unless blocks race.
void set_threads(int threads);

// Whether kernels that were compiled with memory-access hooks (MPANET_EMU_HOOKS) report races. Default true.
void set_race_check(bool on);
bool can_check_races();  // whether such a kernel is linked
// Whether a launch with more threads than __launch_bounds__ is refused: kernels compiled by GCC for x86-64.
bool can_check_launch_bounds();

// Calls `watch` for every launch, which runs only if it returns true. Empty: all launches run. For lists of the
// launches of a program.
struct LaunchShape {
  const char* kernel;
  const void* entry;  // the kernel's address
  uint64_t blocks;
  unsigned threads;     // of a block
  size_t shared_bytes;  // dynamic
};
void watch_launches(std::function<bool(const LaunchShape&)> watch);

// Totals since the start of the program.
struct Counts {
  int64_t launches, blocks, threads;
  int64_t switches;  // from one thread's stack to another's
};
Counts counts();

}  // namespace mpanet::simt
