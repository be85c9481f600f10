// What a device can do, for launchers whose kernels need it.
#pragma once
#include "kernels/types.h"

namespace mpanet {
namespace cuda {
// UserError unless the stream's device has compute capability 8.0 or more. On older ones mma.sync of bf16 and TF32
// traps. `precision` is for the message.
void require_tensor_cores(Stream stream, const char* precision);
size_t shared_bytes_of_block(Stream stream);  // the largest shared memory that a block can have
}  // namespace cuda
namespace emu {
inline void require_tensor_cores(Stream, const char*) {}  // the emulation has them
inline size_t shared_bytes_of_block(Stream) { return 227 << 10; }
}  // namespace emu
}  // namespace mpanet
