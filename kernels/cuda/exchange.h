// Device memory of a stream through which the blocks of a kernel exchange results.
#pragma once
#include <cstddef>

#include "kernels/types.h"

namespace mpanet {

constexpr int kTickets = 512;
constexpr size_t kExchangeBytes = 256 << 10;

// Of a stream and not of a device: kernels of two streams may run at once.
struct Exchange {
  unsigned* tickets = nullptr;  // kTickets counters, zero between kernels
  void* results = nullptr;      // kExchangeBytes, undefined between kernels, aligned to 256 bytes
};

namespace emu {
Exchange exchange(Stream stream);
}
namespace cuda {
Exchange exchange(Stream stream);
}

}  // namespace mpanet
