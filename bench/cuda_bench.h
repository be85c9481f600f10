// The GPU's part of the benchmarks; only with MPANET_CUDA.
#pragma once
#include <functional>
#include <string>

#include "bench/stopwatch.h"

namespace mpanet {

// Seconds between two events around the work that `give` gives to the stream.
double gpu_seconds(Stream stream, const std::function<void()>& give);
void gpu_copy(Stream stream, void* to, const void* from, size_t bytes);
DeviceRates gpu_rates(int device, const std::string& precision);

}  // namespace mpanet
