// Times of calls on a backend's stream, and what the device could do at best.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "bench/kernel_bench.h"
#include "core/context.h"

namespace mpanet {

// Seconds of one call: median of the samples and their quartiles. A sample is `calls` calls in a row.
struct Timing {
  double median = 0, low = 0, high = 0;
  int samples = 0, calls = 0;
};

// Calls the instances in turn, so that each finds its memory out of the caches when there are enough of them. The first
// round is not counted. Samples are taken until `seconds` have passed, at least five.
Timing time_calls(Context& context, const std::vector<Call>& instances, double seconds);

// The device's own copy of memory, the yardstick for kernels that are bound by it; on a CPU memcpy on all threads.
void copy_memory(Context& context, void* to, const void* from, size_t bytes);

// What the device could reach; 0 where it is not known. From the card's attributes, else measured here: `source` says.
struct DeviceRates {
  std::string name, bandwidth_source, arithmetic_source;
  double bandwidth = 0;                      // bytes per second
  double storage_flops = 0, real_flops = 0;  // per second, of products of storage and of real values
  size_t cache = 0;                          // bytes of the last level
};
DeviceRates device_rates(Context& context, const std::string& precision);

}  // namespace mpanet
