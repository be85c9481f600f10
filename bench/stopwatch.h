// Times of calls on a backend's stream, and what the device could do at best.
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

// One round of work on the stream, `calls` calls of the thing that is timed, and what comes before each round untimed.
struct Rounds {
  std::function<void()> prepare, round;
  int calls = 1;
};
// The first two rounds are not counted. Rounds go on until `seconds` have passed, at least five.
Timing time_rounds(Context& context, const Rounds& rounds, double seconds);

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
