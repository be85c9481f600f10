// Implements the functions that a compiler calls before every memory access with -fsanitize=thread. The sanitizer's
// library is not linked. Only kernels compiled with this option report races (races.h).
#include "kernels/emu/block.h"

namespace {

// `instruction` follows the call in the kernel.
void accessed(const void* address, size_t bytes, bool write, const void* instruction) {
  if (mpanet::simt::recording && mpanet::simt::running_block != nullptr)
    mpanet::simt::running_block->note_access(address, bytes, write, {instruction});
}

}  // namespace

extern "C" {

void __tsan_init() { mpanet::simt::found_instrumented_code(); }
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}

#define ACCESS(name, bytes, write) \
  void __tsan_##name(void* address) { accessed(address, bytes, write, __builtin_return_address(0)); }
ACCESS(read1, 1, false)
ACCESS(read2, 2, false)
ACCESS(read4, 4, false)
ACCESS(read8, 8, false)
ACCESS(read16, 16, false)
ACCESS(write1, 1, true)
ACCESS(write2, 2, true)
ACCESS(write4, 4, true)
ACCESS(write8, 8, true)
ACCESS(write16, 16, true)
ACCESS(unaligned_read2, 2, false)
ACCESS(unaligned_read4, 4, false)
ACCESS(unaligned_read8, 8, false)
ACCESS(unaligned_read16, 16, false)
ACCESS(unaligned_write2, 2, true)
ACCESS(unaligned_write4, 4, true)
ACCESS(unaligned_write8, 8, true)
ACCESS(unaligned_write16, 16, true)
#undef ACCESS

void __tsan_read_range(void* address, size_t bytes) { accessed(address, bytes, false, __builtin_return_address(0)); }
void __tsan_write_range(void* address, size_t bytes) { accessed(address, bytes, true, __builtin_return_address(0)); }
}
