// How tests steer the emulation.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>

namespace mpanet::simt {

// Every launch draws from the seed in which order blocks run, which warp of a block goes on when another cannot, which
// lane of a warp comes first, and where a warp is interrupted. One warp runs as far as it can before any other moves:
// a missing barrier then shows under almost every seed. 0: everything in order. At first 1.
void set_seed(uint32_t seed);
uint32_t seed();

// Host threads that run blocks side by side; 0 (at first): as many as OpenMP uses. Results do not depend on it, unless
// blocks race.
void set_threads(int threads);

// Whether kernels that were compiled with memory-access hooks (MPANET_EMU_HOOKS) report races; at first they do.
void set_race_check(bool on);
bool can_check_races();  // such a kernel is linked

// Told of every launch from now on; a launch runs only when it says true. Empty: all run. For reports on what a program
// would launch.
struct LaunchShape {
  const char* kernel;
  const void* entry;  // the kernel's address
  uint64_t blocks;
  unsigned threads;     // of a block
  size_t shared_bytes;  // dynamic
};
void watch_launches(std::function<bool(const LaunchShape&)> watch);

// Totals since the program began.
struct Counts {
  int64_t launches, blocks, threads;
  int64_t switches;  // from one thread's stack to another's
};
Counts counts();

}  // namespace mpanet::simt
