// Lists each kernel's launches at the network's sizes without running them. It uses the emulation, whose launchers are
// those of the GPU. scripts/kernel-report combines the list with the compiler's report on registers.
#pragma once
#include <string>
#include <vector>

#include "tests/ops/op_run.h"

namespace mpanet {

// Benchmarks of one precision at some sizes; `indices` are those in its list of benchmarks.
struct LaunchedOps {
  OpPrecision precision;
  NetworkSizes sizes;
  std::vector<size_t> indices;
};

// Calls every pass on addresses without memory and writes one line per distinct launch: the kernel's address in the
// program (hex, as in `nm`), blocks, threads per block, bytes of dynamic shared memory. UserError in a build without
// the emulation.
void write_launches(const std::string& path, const std::vector<LaunchedOps>& lists);

}  // namespace mpanet
