// What each kernel's launch looks like at the network's sizes, without running it: the emulation's launchers are the
// GPU's. scripts/kernel-report puts it beside what the compiler says of registers.
#pragma once
#include <string>
#include <vector>

#include "tests/ops/op_run.h"

namespace mpanet {

// The passes of one precision's ops at some sizes; `place`: of its benchmarks.
struct LaunchedOps {
  const OpPrecision* precision;
  NetworkSizes sizes;
  std::vector<size_t> places;
};

// Calls every pass on addresses without memory and writes one line per different launch: the kernel's address in the
// program as `nm` has it (hex), blocks, threads of a block, bytes of dynamic shared memory. UserError in a build
// without the emulation.
void write_launches(const std::string& path, const std::vector<LaunchedOps>& lists);

}  // namespace mpanet
