// The GPU's part of the benchmarks; only with MPANET_CUDA.
#pragma once
#include <string>

#include "bench/stopwatch.h"

namespace mpanet {

void gpu_copy(Stream stream, void* to, const void* from, size_t bytes);
DeviceRates gpu_rates(int device, const std::string& precision);

}  // namespace mpanet
