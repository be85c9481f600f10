// The functions that block the current thread or report its faults. The emulated device functions call them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string>

namespace mpanet::simt {

#ifdef __cpp_lib_source_location
using Where = std::source_location;
#else
// clang before 16 lacks std::source_location but has the builtins for it.
class Where {
 public:
  static constexpr Where current(const char* file = __builtin_FILE(), unsigned line = __builtin_LINE(),
                                 unsigned column = __builtin_COLUMN()) {
    Where where;
    where.file_ = file;
    where.line_ = line;
    where.column_ = column;
    return where;
  }
  constexpr const char* file_name() const { return file_; }
  constexpr unsigned line() const { return line_; }
  constexpr unsigned column() const { return column_; }

 private:
  const char* file_ = "";
  unsigned line_ = 0, column_ = 0;
};
#endif

// Waits for every thread of the block. Returns the number of threads with a true `predicate`. All must call it from the
// same source position.
int block_barrier(const char* call, bool predicate, Where where);

// Waits for the lanes of this warp that are in `mask` and have not exited. All must call it from the same source
// position with the same mask. The last one calls finish(arguments of all lanes, mask of the waiting lanes). A lane's
// argument is on its stack and receives its result.
using Finish = void (*)(void* const* arguments, unsigned lanes);
void warp_collective(const char* call, unsigned mask, void* argument, Finish finish, Where where);

// Throws Fault with kernel, block and thread, the text, and file and line.
[[noreturn]] void fault(const std::string& text, Where where);

// The block's dynamic shared memory. A fault if it has fewer than `bytes` bytes.
unsigned char* shared_bytes(size_t bytes, Where where);

// A fault unless the address is a multiple of `bytes`, as for a vector access on a device.
[[noreturn]] void misaligned(const void* address, size_t bytes, Where where);
inline void check_aligned(const void* address, size_t bytes, Where where = Where::current()) {
  if (reinterpret_cast<uintptr_t>(address) % bytes != 0) [[unlikely]]
    misaligned(address, bytes, where);
}

}  // namespace mpanet::simt
