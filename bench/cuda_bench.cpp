#include "bench/cuda_bench.h"

#include <cuda_runtime.h>

#include "kernels/cuda/stream.h"

namespace mpanet {
namespace {

// Multiply-adds per clock and multiprocessor, by compute capability. Source: CUDA Programming Guide, arithmetic
// instructions; for tensor cores (16-bit products, float sums, dense) the published peaks of the first cards. Theirs of
// TF32 are half of that, from 8.0 on.
struct Throughput {
  int capability;
  int f32, f64, tensor16;
};
constexpr Throughput kThroughputs[] = {{75, 64, 2, 512},    {80, 64, 32, 1024},   {86, 128, 2, 512}, {89, 128, 2, 512},
                                       {90, 128, 64, 2048}, {100, 128, 64, 4096}, {120, 128, 2, 512}};

int attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  CUDA_CALL(cudaDeviceGetAttribute(&value, which, device));
  return value;
}

}  // namespace

void gpu_copy(Stream stream, void* to, const void* from, size_t bytes) {
  CUDA_CALL(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, cuda::state_of(stream).handle.get()));
}

DeviceRates gpu_rates(int device, const std::string& precision) {
  cudaDeviceProp properties;
  CUDA_CALL(cudaGetDeviceProperties(&properties, device));
  DeviceRates rates;
  rates.name = properties.name;
  rates.cache = static_cast<size_t>(properties.l2CacheSize);
  // The attributes are in kilohertz and bits; there are two transfers per clock.
  const double memory_clock = attribute(cudaDevAttrMemoryClockRate, device) * 1e3;
  rates.bandwidth = 2 * memory_clock * attribute(cudaDevAttrGlobalMemoryBusWidth, device) / 8;
  rates.bandwidth_source = "memory clock and bus width";
  const double clocks = attribute(cudaDevAttrClockRate, device) * 1e3 * properties.multiProcessorCount;
  for (const Throughput& t : kThroughputs) {
    if (t.capability != properties.major * 10 + properties.minor) continue;
    const bool half = precision == "f16" || (precision == "bf16" && t.capability >= 80);
    const bool tf32 = (half || precision == "tf32") && t.capability >= 80;
    const int real = precision == "f64" ? t.f64 : tf32 ? t.tensor16 / 2 : t.f32;
    rates.real_flops = 2 * clocks * real;
    rates.storage_flops = 2 * clocks * (half ? t.tensor16 : real);
    rates.arithmetic_source =
        half ? tf32 ? "clock, SMs, tensor cores (16 bit; gemm in TF32)" : "clock, SMs, tensor cores (16 bit) and cores"
        : tf32 ? "clock, SMs, tensor cores (TF32)"
               : "clock, SMs, cores";
  }
  return rates;
}

}  // namespace mpanet
