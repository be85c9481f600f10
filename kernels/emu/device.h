// The emulated device's memory, as the emulation itself sees it.
#pragma once
#include <cstddef>
#include <cstdint>

namespace mpanet::simt {

// A kernel is launched: a report about damaged memory names the last ones.
void note_kernel(const char* kernel);

struct Span {
  const unsigned char* begin = nullptr;
  size_t bytes = 0;
};
// The allocated buffer in which an address lies, or none.
Span buffer_of(const unsigned char* address);

}  // namespace mpanet::simt
