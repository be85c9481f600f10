// Times of calls on a backend's stream, and the device's peak rates.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "core/context.h"

namespace mpanet {

// Seconds of one call: median of the samples and their quartiles. A sample is a round of `calls` calls.
struct Timing {
  double median = 0, low = 0, high = 0;
  int samples = 0, calls = 0;
};

// A round is timed; it has `calls` calls. `prepare` runs before each round and is not timed.
struct Rounds {
  std::function<void()> prepare, round;
  int calls = 1;
};
// Times rounds until `seconds` have passed, at least five, after two rounds that are not counted.
Timing time_rounds(Context& context, const Rounds& rounds, double seconds);

// The device's copy of memory, as a reference for kernels that are bound by memory; on a CPU memcpy on all threads.
void copy_memory(Context& context, void* to, const void* from, size_t bytes);

// The device's peak rates; 0 if unknown. They come from the card's attributes or are measured: see the sources.
struct DeviceRates {
  std::string name, bandwidth_source, arithmetic_source;
  double bandwidth = 0;                      // bytes per second
  double storage_flops = 0, real_flops = 0;  // per second, of products of storage and of real values
  size_t cache = 0;                          // bytes of the last level
};
DeviceRates device_rates(Context& context, const std::string& precision);

}  // namespace mpanet
