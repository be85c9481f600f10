// Memory of the emulated device: host memory.
#include <cstdlib>
#include <cstring>

#include "core/error.h"
#include "kernels/memory.h"

namespace mpanet::emu {

void* allocate(Stream, size_t bytes) {
  void* memory = std::aligned_alloc(256, (bytes + 511) / 256 * 256);
  if (memory == nullptr) fail("out of memory: {} bytes wanted", bytes);
  return std::memset(memory, 0, bytes);
}
void release(Stream, void* memory, size_t) { std::free(memory); }
void fill_zero(Stream, void* to, size_t bytes) { std::memset(to, 0, bytes); }
void copy_to_device(Stream, void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); }
void copy_to_host(Stream, void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); }
void synchronize(Stream) {}
Stream create_stream(int) { return nullptr; }
void destroy_stream(Stream) {}

}  // namespace mpanet::emu
