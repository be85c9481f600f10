#include "bench/op_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace mpanet {
namespace {

std::string number(const std::optional<double>& value, const char* form) {
  return value ? fmt::format(fmt::runtime(form), *value) : "-";
}

std::optional<double> rate(double amount, const PassResult& result) {
  if (!result.time || amount == 0) return {};
  return amount / result.time->median;
}

std::optional<double> scaled(std::optional<double> value, double factor) {
  if (value) *value *= factor;
  return value;
}

nlohmann::ordered_json json(const std::optional<double>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

}  // namespace

std::optional<double> roofline_fraction(const PassResult& result, const DeviceRates& rates) {
  const double peak = result.storage ? rates.storage_flops : rates.real_flops;
  if (!result.time || rates.bandwidth == 0 || (result.flops > 0 && peak == 0)) return {};
  const double arithmetic = result.flops > 0 ? result.flops / peak : 0;
  return std::max(result.bytes / rates.bandwidth, arithmetic) / result.time->median;
}

std::optional<double> fraction_of(const std::optional<double>& seconds, const PassResult& result) {
  if (!seconds || !result.time) return {};
  return *seconds / result.time->median;
}

void print_heading(const std::string& precision, const DeviceRates& rates, const std::string& vendor) {
  fmt::print("\n{} on {}\n", precision, rates.name);
  fmt::print("roofline: {:.0f} GB/s ({})", rates.bandwidth * 1e-9, rates.bandwidth_source);
  if (rates.storage_flops > 0) fmt::print(", {:.2f} TFLOP/s convolution", rates.storage_flops * 1e-12);
  if (rates.real_flops > 0) fmt::print(", {:.2f} TFLOP/s gemm", rates.real_flops * 1e-12);
  if (!rates.arithmetic_source.empty()) fmt::print(" ({})", rates.arithmetic_source);
  fmt::print("\n{:<29} {:<56} {:>10} {:>7} {:>7} {:>8} {:>6} {:>6} {:>7}\n", "op", "shape", "us", "spread", "GB/s",
             "TFLOP/s", "roof", "copy", vendor.empty() ? "vendor" : vendor);
}

void print_result(const PassResult& r, const DeviceRates& rates) {
  const std::string name = r.op + " " + r.pass;
  if (!r.time) {
    fmt::print("{:<29} {:<56} {}\n", name, r.shape, r.note);
    return;
  }
  const double spread = (r.time->high - r.time->low) / r.time->median;
  fmt::print(
      "{:<29} {:<56} {:>10.1f} {:>6.1f}% {:>7} {:>8} {:>6} {:>6} {:>7}  {}\n", name, r.shape, r.time->median * 1e6,
      100 * spread, number(scaled(rate(r.bytes, r), 1e-9), "{:.1f}"), number(scaled(rate(r.flops, r), 1e-12), "{:.3f}"),
      number(scaled(roofline_fraction(r, rates), 100), "{:.0f}%"), number(fraction_of(r.copy_seconds, r), "{:.2f}"),
      number(fraction_of(r.vendor_seconds, r), "{:.2f}"), r.note);
  for (const auto& [kernel, fraction] : r.kernels) fmt::print("    {:<40} {:>4.0f}%\n", kernel, 100 * fraction);
  std::fflush(stdout);
}

nlohmann::ordered_json to_json(const PassResult& r, const DeviceRates& rates) {
  nlohmann::ordered_json j = {
      {"op", r.op}, {"pass", r.pass}, {"shape", r.shape}, {"bytes", r.bytes}, {"flops", r.flops}};
  if (!r.note.empty()) j["note"] = r.note;
  if (!r.kernels.empty()) j["kernels"] = r.kernels;
  if (!r.time) return j;
  j["seconds"] = r.time->median;
  j["quartiles"] = {r.time->low, r.time->high};
  j["samples"] = r.time->samples;
  j["calls_per_sample"] = r.time->calls;
  j["bytes_per_second"] = json(rate(r.bytes, r));
  j["flops_per_second"] = json(rate(r.flops, r));
  j["roofline_share"] = json(roofline_fraction(r, rates));
  j["copy_seconds"] = json(r.copy_seconds);
  j["copy_share"] = json(fraction_of(r.copy_seconds, r));
  if (!r.vendor_seconds) return j;
  j["vendor"] = r.vendor;
  j["vendor_seconds"] = *r.vendor_seconds;
  j["vendor_share"] = json(fraction_of(r.vendor_seconds, r));
  return j;
}

nlohmann::ordered_json to_json(const DeviceRates& rates) {
  const auto known = [](double value) { return value > 0 ? json(value) : nlohmann::ordered_json(); };
  return {{"name", rates.name},
          {"bandwidth", known(rates.bandwidth)},
          {"bandwidth_source", rates.bandwidth_source},
          {"storage_flops", known(rates.storage_flops)},
          {"real_flops", known(rates.real_flops)},
          {"arithmetic_source", rates.arithmetic_source},
          {"cache_bytes", rates.cache}};
}

}  // namespace mpanet
