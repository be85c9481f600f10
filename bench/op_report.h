// The output of bench-kernels: a table while it runs, and a JSON file.
#pragma once
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/stopwatch.h"

namespace mpanet {

// The measurements of one pass of an op; nullopt for those that were not made.
struct PassResult {
  std::string op, pass, shape, note;  // pass: forward or backward
  double bytes = 0, flops = 0;
  bool storage = false;  // true: flops of products of storage values, false: of real values
  std::optional<Timing> time;
  std::optional<double> copy_seconds, vendor_seconds;
  std::string vendor;
  std::map<std::string, double> kernels;  // fraction of the pass's time per kernel; empty without --kernels
};

// roofline_fraction: minimum time of the device (the longer of bytes / bandwidth and flops / peak) / time of the pass.
// fraction_of: `seconds` of a reference / time of the pass. nullopt if a part is unknown.
std::optional<double> roofline_fraction(const PassResult& result, const DeviceRates& rates);
std::optional<double> fraction_of(const std::optional<double>& seconds, const PassResult& result);

void print_heading(const std::string& precision, const DeviceRates& rates, const std::string& vendor);
void print_result(const PassResult& result, const DeviceRates& rates);
nlohmann::ordered_json to_json(const PassResult& result, const DeviceRates& rates);
nlohmann::ordered_json to_json(const DeviceRates& rates);

}  // namespace mpanet
