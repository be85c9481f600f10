// cp.async under the emulation. Until the thread waits for its group nothing arrives: from the moment it is given out
// the destination holds NaN bytes, and the source is read only at the wait.
#pragma once
#include "kernels/emu/runtime.h"

namespace mpanet::simt {

// `bytes` (4, 8 or 16) to shared memory, the first `valid` of them from device memory, zeros after those.
void async_copy(void* to_shared, const void* from, int bytes, int valid, Where where);
void async_commit();
// Until at most `newest` of the thread's groups have not arrived.
void async_wait(int newest);
// Until every copy has arrived, in a group or not.
void async_wait_all();

}  // namespace mpanet::simt
