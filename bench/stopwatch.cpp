#include "bench/stopwatch.h"

#include <fmt/format.h>
#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#ifdef MPANET_HAS_CUDA
#  include "bench/cuda_bench.h"
#endif
#include "bench/yardstick.h"
#include "core/base/text.h"

namespace mpanet {
namespace {

double elapsed(Context& context, const std::function<void()>& work) {
  context.mark();
  work();
  context.mark();
  return context.take_laps()[0];
}

// The quantile of sorted values at `fraction`, 0..1, with linear interpolation.
double quantile(const std::vector<double>& sorted, double fraction) {
  const double position = fraction * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (position - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

// Bytes moved per second by copies of 64 MiB, or of four times a large cache: the best of seven.
double measured_bandwidth(Context& context, size_t cache) {
  const size_t bytes = std::max<size_t>(size_t{64} << 20, 4 * cache);
  const Buffer from(context, bytes), to(context, bytes);
  double best = 0;
  for (int i = 0; i < 7; i++) {
    const double seconds = elapsed(context, [&] { copy_memory(context, to.as<void>(), from.as<void>(), bytes); });
    best = std::max(best, 2 * static_cast<double>(bytes) / seconds);
  }
  return best;
}

DeviceRates cpu_rates(const std::string& precision) {
  DeviceRates rates;
  rates.name = fmt::format("CPU, {}", counted(omp_get_max_threads(), "thread"));
  const long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
  rates.cache = cache > 0 ? static_cast<size_t>(cache) : size_t{32} << 20;
  if (precision != "f64") {
    rates.real_flops = product_flops();
    rates.arithmetic_source = "a large f32 product, measured";
    if (precision == "f32") rates.storage_flops = rates.real_flops;
  }
  return rates;
}

}  // namespace

Timing time_rounds(Context& context, const Rounds& rounds, double seconds) {
  constexpr int kFewest = 5, kMost = 101, kUncounted = 2;
  Timing timing;
  timing.calls = rounds.calls;
  std::vector<double> times;
  int uncounted = 0;
  for (double spent = 0;
       static_cast<int>(times.size()) < kFewest || (spent < seconds && static_cast<int>(times.size()) < kMost);) {
    if (rounds.prepare) rounds.prepare();
    context.synchronize();
    const double time = elapsed(context, rounds.round);
    if (uncounted++ < kUncounted) continue;
    spent += time;
    times.push_back(time / rounds.calls);
  }
  std::sort(times.begin(), times.end());
  timing.samples = static_cast<int>(times.size());
  timing.median = quantile(times, 0.5);
  timing.low = quantile(times, 0.25);
  timing.high = quantile(times, 0.75);
  return timing;
}

void copy_memory(Context& context, void* to, const void* from, size_t bytes) {
#ifdef MPANET_HAS_CUDA
  if (context.backend() == Backend::cuda) return gpu_copy(context.stream(), to, from, bytes);
#endif
  static_cast<void>(context);
  const auto threads = static_cast<size_t>(omp_get_max_threads());
#pragma omp parallel for
  for (size_t i = 0; i < threads; i++) {
    const size_t begin = bytes * i / threads, end = bytes * (i + 1) / threads;
    std::memcpy(static_cast<char*>(to) + begin, static_cast<const char*>(from) + begin, end - begin);
  }
}

DeviceRates device_rates(Context& context, const std::string& precision) {
  DeviceRates rates;
#ifdef MPANET_HAS_CUDA
  if (context.backend() == Backend::cuda) rates = gpu_rates(context.stream_handle()->device().index, precision);
#endif
  if (context.backend() == Backend::cpu) rates = cpu_rates(precision);
  if (rates.bandwidth == 0) {
    rates.bandwidth = measured_bandwidth(context, rates.cache);
    rates.bandwidth_source = "a copy of memory, measured";
  }
  return rates;
}

}  // namespace mpanet
