// The cpu backend's memory: anonymous mappings, so that a released block returns to the system immediately.
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "core/base/error.h"
#include "kernels/cpu/stream.h"
#include "kernels/cpu/vendor.h"
#include "kernels/memory.h"

namespace mpanet::cpu {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

// Rounds up to small pages, even though huge pages back large blocks: rounding up to those would allocate memory that
// the plan does not count.
size_t mapped_bytes(size_t bytes) {
  constexpr size_t kPage = 4096;
  return (std::max<size_t>(bytes, 1) + kPage - 1) / kPage * kPage;
}

}  // namespace

void* allocate(Stream, size_t bytes) {
  const size_t size = mapped_bytes(bytes);
  // For alignment to huge pages, maps one huge page more and unmaps both ends.
  const size_t extra = bytes >= kHugePage ? kHugePage : 0;
  char* base =
      static_cast<char*>(mmap(nullptr, size + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (base == MAP_FAILED) fail("out of memory: {} bytes wanted: {}", size, std::strerror(errno));
  if (extra == 0) return base;
  char* aligned = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(base) + extra - 1) / extra * extra);
  if (aligned != base) munmap(base, static_cast<size_t>(aligned - base));
  if (aligned + size != base + size + extra) munmap(aligned + size, static_cast<size_t>(base + extra - aligned));
  madvise(aligned, size, MADV_HUGEPAGE);
  return aligned;
}

void release(Stream, void* memory, size_t bytes) { munmap(memory, mapped_bytes(bytes)); }

void* allocate_apart(Stream, size_t bytes) { return ::operator new (bytes, std::align_val_t{256}); }
void release_apart(Stream, void* memory) { ::operator delete (memory, std::align_val_t{256}); }

void fill_zero(Stream, void* to, size_t bytes) { std::memset(to, 0, bytes); }
void copy_to_device(Stream, void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); }
void copy_to_host(Stream, void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); }
void synchronize(Stream) {}
Stream create_stream(int) { return new StreamBody; }
void destroy_stream(Stream stream) { delete stream; }
void set_vendors(Stream stream, const Vendors& vendors) { stream->vendors = vendors; }
const Vendors& vendors_of(Stream stream) { return stream->vendors; }
void set_tf32(Stream stream, bool on) { stream->tf32 = on; }
bool uses_tf32(Stream stream) { return stream != nullptr && stream->tf32; }
bool can_use_tf32(Stream) { return true; }

}  // namespace mpanet::cpu
