// The emulated device's memory, for the emulation itself.
#pragma once
#include <cstddef>
#include <cstdint>

namespace mpanet::simt {

// To be called at every launch. A report about damaged memory names the last kernels.
void note_kernel(const char* kernel);

struct Span {
  const unsigned char* begin = nullptr;
  size_t bytes = 0;
};
// The allocated buffer that contains an address; {null, 0} if there is none.
Span buffer_of(const unsigned char* address);

}  // namespace mpanet::simt
