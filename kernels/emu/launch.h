// LAUNCH and shared_memory of kernels/cuda/simt.h under the emulation.
#pragma once
#include <cstddef>
#include <tuple>

#include "kernels/emu/device_types.h"
#include "kernels/emu/runtime.h"
#include "kernels/types.h"

namespace mpanet::simt {

// Runs every block of the grid. body(arguments) runs one thread; `bound` is launch_bound(). CheckError for a fault of
// the kernel and for a launch that a device would refuse.
void run(const char* kernel, const void* entry, dim3 grid, dim3 block, size_t shared_bytes, unsigned bound,
         void (*body)(const void* arguments), const void* arguments);

// Reads __launch_bounds__ from a kernel's entry: the maximum number of threads, in whole warps; 0 without bounds.
template <class Kernel>
unsigned launch_bound(Kernel* kernel) {
  constexpr unsigned char kNoOperation = 0x90;
  const auto* code = reinterpret_cast<const unsigned char*>(kernel);
  int count = 0;
  while (code[count] == kNoOperation) count++;
  return count > kLaunchBoundsMark ? static_cast<unsigned>(count - kLaunchBoundsMark) * warpSize : 0;
}

}  // namespace mpanet::simt

namespace mpanet::emu {

template <class T>
T& shared_memory(simt::Where where = simt::Where::current()) {
  return *reinterpret_cast<T*>(simt::shared_bytes(sizeof(T), where));
}

template <class... Parameters, class... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, Stream,
            Arguments... arguments) {
  struct Call {
    void (*kernel)(Parameters...);
    std::tuple<Parameters...> parameters;
  };
  const Call call{kernel, {static_cast<Parameters>(arguments)...}};
  const auto body = [](const void* data) {
    const Call& call = *static_cast<const Call*>(data);
    std::apply(call.kernel, call.parameters);
  };
  simt::run(name, reinterpret_cast<const void*>(kernel), grid, block, shared_bytes, simt::launch_bound(kernel), body,
            &call);
}

}  // namespace mpanet::emu
