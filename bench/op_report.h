// What bench-kernels says: a table while it runs, and a JSON file.
#pragma once
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/stopwatch.h"

namespace mpanet {

// What was measured of one pass of an op; nothing where it was not.
struct PassResult {
  std::string op, pass, shape, note;  // pass: forward or backward
  double bytes = 0, flops = 0;
  bool storage = false;  // flops are of products of storage values, else of real ones
  std::optional<Timing> time;
  std::optional<double> copy_seconds, vendor_seconds;
  std::string vendor;
  std::map<std::string, double> kernels;  // each kernel's share of the pass's time; empty: nobody asked
};

// Shares of 1: the time that the device needs at best, for bytes or for arithmetic whichever takes longer, and the
// yardsticks' times, over ours. Nothing where a part was neither measured nor known.
std::optional<double> roofline_share(const PassResult& result, const DeviceRates& rates);
std::optional<double> share_of(const std::optional<double>& seconds, const PassResult& result);

void print_heading(const std::string& precision, const DeviceRates& rates, const std::string& vendor);
void print_result(const PassResult& result, const DeviceRates& rates);
nlohmann::ordered_json to_json(const PassResult& result, const DeviceRates& rates);
nlohmann::ordered_json to_json(const DeviceRates& rates);

}  // namespace mpanet
