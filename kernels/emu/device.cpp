// Memory of the emulated device: host memory between two guard zones of NaN. The zones are checked when memory is
// released and when the host waits for the device.
#include "kernels/emu/device.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "core/base/error.h"
#include "core/base/guard.h"
#include "core/base/output.h"
#include "kernels/cuda/exchange.h"
#include "kernels/emu/races.h"
#include "kernels/memory.h"

#if defined(__SANITIZE_ADDRESS__)
#  include <sanitizer/asan_interface.h>
#else
#  define ASAN_POISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#  define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#endif

namespace mpanet::simt {
namespace {

constexpr size_t kPage = 4096;
// A mapping: one guard page, the memory, and at least kLeastGuard guard bytes, up to the end of a page.
struct Allocation {
  static constexpr size_t kLeastGuard = 512;
  unsigned char* begin;
  size_t bytes;
  uint16_t pattern;

  unsigned char* mapping() const { return begin - kPage; }
  size_t mapped() const { return (kPage + bytes + kLeastGuard + kPage - 1) / kPage * kPage; }
  unsigned char* end() const { return begin + bytes; }
  size_t guard_behind() const { return mapped() - kPage - bytes; }
  void protect() const {
    fill_guard(mapping(), kPage, pattern);
    fill_guard(end(), guard_behind(), pattern, bytes);
    poison();
  }
  void poison() const {
    ASAN_POISON_MEMORY_REGION(mapping(), kPage);
    ASAN_POISON_MEMORY_REGION(end(), guard_behind());
  }
  void unprotect() const { ASAN_UNPOISON_MEMORY_REGION(mapping(), mapped()); }
};

constexpr size_t kKernelsKept = 8;

struct Memory {
  std::mutex mutex;
  std::map<const unsigned char*, Allocation> allocations;  // by begin
  std::array<const char*, kKernelsKept> kernels{};         // the kernels launched last, a ring buffer
  size_t launches = 0;
  std::string unreported;  // damage found by a destructor, which must not throw
};
Memory& memory() {
  static auto* memory = new Memory;  // never destroyed, because static objects may release memory at exit
  return *memory;
}

std::string last_kernels(const Memory& memory) {
  std::string names;
  const size_t count = std::min(memory.launches, kKernelsKept);
  for (size_t i = 1; i <= count; i++)
    names += (i == 1 ? "" : ", ") + std::string(memory.kernels[(memory.launches - i) % kKernelsKept]);
  return names.empty() ? "none" : names;
}

// Describes a write into the guard zones, and restores them; empty when there was none.
std::string damage(const Allocation& allocation) {
  allocation.unprotect();
  const unsigned char *behind = allocation.end(), *behind_end = behind + allocation.guard_behind();
  std::string text;
  for (const unsigned char* byte = behind; byte < behind_end && text.empty(); byte++)
    if (*byte != guard_byte(allocation.pattern, static_cast<size_t>(byte - allocation.begin)))
      text = fmt::format("{} bytes behind", byte - behind);
  for (const unsigned char* byte = allocation.begin - 1; byte >= allocation.mapping() && text.empty(); byte--)
    if (*byte != guard_byte(allocation.pattern, static_cast<size_t>(byte - allocation.mapping())))
      text = fmt::format("{} bytes before", allocation.begin - byte);
  if (text.empty()) {
    allocation.poison();
    return text;
  }
  allocation.protect();
  return fmt::format("device memory: written {} a buffer of {} bytes; kernels launched last, newest first: {}", text,
                     allocation.bytes, last_kernels(memory()));
}

}  // namespace

void note_kernel(const char* kernel) {
  Memory& all = memory();
  const std::lock_guard lock(all.mutex);
  all.kernels[all.launches++ % kKernelsKept] = kernel;
}

Span buffer_of(const unsigned char* address) {
  Memory& all = memory();
  const std::lock_guard lock(all.mutex);
  auto after = all.allocations.upper_bound(address);
  if (after == all.allocations.begin()) return {};
  const Allocation& allocation = (--after)->second;
  return address < allocation.end() ? Span{allocation.begin, allocation.bytes} : Span{};
}

}  // namespace mpanet::simt

namespace mpanet::emu {

using simt::Allocation;

void* allocate(Stream, size_t bytes) {
  static std::atomic<uint64_t> count = 0;
  Allocation allocation{nullptr, std::max<size_t>(bytes, 1), guard_pattern(count++)};
  void* base =
      mmap(nullptr, allocation.mapped(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) fail("out of memory: {} bytes wanted: {}", bytes, std::strerror(errno));
  madvise(base, allocation.mapped(), MADV_HUGEPAGE);
  allocation.begin = static_cast<unsigned char*>(base) + simt::kPage;
  allocation.protect();
  simt::Memory& all = simt::memory();
  const std::lock_guard lock(all.mutex);
  all.allocations[allocation.begin] = allocation;
  return allocation.begin;
}

void* allocate_apart(Stream stream, size_t bytes) {
  void* memory = allocate(stream, bytes);
  fill_guard(static_cast<unsigned char*>(memory), bytes, guard_pattern(0));
  return memory;
}

// Destructors call this, so it prints damage, and the next synchronize() throws it.
void release_apart(Stream, void* address) {
  simt::Memory& all = simt::memory();
  const std::lock_guard lock(all.mutex);
  const auto found = all.allocations.find(static_cast<unsigned char*>(address));
  std::string text;
  if (found == all.allocations.end()) {
    text = fmt::format("device memory: released {}, where no buffer begins", address);
  } else {
    const Allocation allocation = found->second;
    text = simt::damage(allocation);
    all.allocations.erase(found);
    if (simt::recording) simt::forget_shadow(address);
    allocation.unprotect();
    munmap(allocation.mapping(), allocation.mapped());
  }
  if (text.empty()) return;
  note(text);
  all.unreported = text;
}

void release(Stream stream, void* address, size_t) { release_apart(stream, address); }

void synchronize(Stream) {
  simt::Memory& all = simt::memory();
  const std::lock_guard lock(all.mutex);
  std::string text = std::exchange(all.unreported, {});
  for (const auto& [begin, allocation] : all.allocations)
    if (const std::string found = simt::damage(allocation); text.empty()) text = found;
  if (!text.empty()) throw CheckError(text);
}

void fill_zero(Stream, void* to, size_t bytes) { std::memset(to, 0, bytes); }
void copy_to_device(Stream, void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); }
void copy_to_host(Stream, void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); }

// Launches run immediately, so a stream has only settings, and memory for blocks.
struct StreamSettings {
  bool tf32 = false;
  Exchange exchange;
};
static StreamSettings* settings_of(Stream stream) { return reinterpret_cast<StreamSettings*>(stream); }

Stream create_stream(int) {
  constexpr size_t kBytes = kTickets * sizeof(unsigned);
  auto settings = std::make_unique<StreamSettings>();
  settings->exchange = {static_cast<unsigned*>(allocate(nullptr, kBytes)), allocate(nullptr, kExchangeBytes)};
  fill_zero(nullptr, settings->exchange.tickets, kBytes);
  return reinterpret_cast<Stream>(settings.release());
}
void destroy_stream(Stream stream) {
  const std::unique_ptr<StreamSettings> settings(settings_of(stream));
  release(stream, settings->exchange.tickets, kTickets * sizeof(unsigned));
  release(stream, settings->exchange.results, kExchangeBytes);
}
Exchange exchange(Stream stream) { return settings_of(stream)->exchange; }
void set_tf32(Stream stream, bool on) { settings_of(stream)->tf32 = on; }
bool uses_tf32(Stream stream) { return stream != nullptr && settings_of(stream)->tf32; }
bool can_use_tf32(Stream) { return true; }

}  // namespace mpanet::emu
