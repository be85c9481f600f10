// What the emulation's device functions call: the running thread blocks here, and faults begin here.
#pragma once
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string>

namespace mpanet::simt {

#ifdef __cpp_lib_source_location
using Where = std::source_location;
#else
// clang before 16 has its parts alone.
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

// Waits for every thread of the block; returns how many of them gave `predicate`. All must come to the same place.
int block_barrier(const char* call, bool predicate, Where where);

// Waits for the lanes of this warp that `mask` names and that have not exited, all at the same place with the same
// mask. The last to come runs finish(arguments of all lanes, the lanes that took part): each lane's argument lies on
// its own stack and takes its result.
using Finish = void (*)(void* const* arguments, unsigned lanes);
void warp_collective(const char* call, unsigned mask, void* argument, Finish finish, Where where);

// Throws: kernel, block and thread, then the text, then file and line.
[[noreturn]] void fault(const std::string& text, Where where);

// The block's dynamic shared memory; a fault if it is smaller than `bytes`.
unsigned char* shared_bytes(size_t bytes, Where where);

// Whether a kernel may touch `bytes` at this address at once: a multiple of their number.
[[noreturn]] void misaligned(const void* address, size_t bytes, Where where);
inline void check_aligned(const void* address, size_t bytes, Where where = Where::current()) {
  if (reinterpret_cast<uintptr_t>(address) % bytes != 0) [[unlikely]]
    misaligned(address, bytes, where);
}

}  // namespace mpanet::simt
