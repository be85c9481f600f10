// What bench-kernels says: a table while it runs, and a JSON file.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/kernel_bench.h"
#include "bench/stopwatch.h"

namespace mpanet {

// What was measured of one kernel; nothing where it was not.
struct KernelResult {
  std::string kernel, shape, note;
  double bytes = 0, flops = 0;
  bool storage = false;
  std::optional<Timing> time;
  std::optional<double> copy_seconds, vendor_seconds;
  std::string vendor;
};

// Shares of 1: the time that the device needs at best, for bytes or for arithmetic whichever takes longer, and the
// yardsticks' times, over ours. Nothing where a part was neither measured nor known.
std::optional<double> roofline_share(const KernelResult& result, const DeviceRates& rates);
std::optional<double> share_of(const std::optional<double>& seconds, const KernelResult& result);

void print_heading(const std::string& precision, const DeviceRates& rates, const std::string& vendor);
void print_result(const KernelResult& result, const DeviceRates& rates);
nlohmann::ordered_json to_json(const KernelResult& result, const DeviceRates& rates);
nlohmann::ordered_json to_json(const DeviceRates& rates);

}  // namespace mpanet
