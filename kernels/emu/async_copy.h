// cp.async under the emulation. A copy is done when the thread waits for its group. Until then the destination holds
// NaN bytes, and the source is read only at the wait.
#pragma once
#include "kernels/emu/runtime.h"

namespace mpanet::simt {

// Copies `bytes` (4, 8 or 16) to shared memory: the first `valid` from device memory, then zeros.
void async_copy(void* to_shared, const void* from, int bytes, int valid, Where where);
void async_commit();
// Waits until at most the `newest` last groups of the thread are unfinished.
void async_wait(int newest);
// Waits for all copies of the thread, also those in no group.
void async_wait_all();

}  // namespace mpanet::simt
