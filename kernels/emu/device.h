// The emulated device's memory, as the emulation itself sees it.
#pragma once
#include <cstddef>
#include <cstdint>

namespace mpanet::simt {

// A kernel is launched: a report about damaged memory names the last ones.
void note_kernel(const char* kernel);

}  // namespace mpanet::simt
