// What the cuda backend offers beside memory.inc. No CUDA header is needed to call it.
#pragma once
#include <cstddef>
#include <memory>

#include "kernels/types.h"

namespace mpanet::cuda {

MemoryUse memory_use(Stream stream);

// Everything the stream is given between begin and end is recorded, not run: kernels, fill_zero, copy_from_pinned. No
// allocation, no synchronisation, no copy to or from memory that is not pinned; those are CheckErrors.
void begin_capture(Stream stream);
std::shared_ptr<void> end_capture(Stream stream);  // what replay() runs
void abandon_capture(Stream stream);
void replay(Stream stream, void* captured);

// A moment in the stream's work, and the seconds from one moment to a later one, which the host waits for.
std::shared_ptr<void> mark(Stream stream);
double seconds_between(Stream stream, void* begin, void* end);

// Host memory, zero at first. Its end waits for the stream.
std::shared_ptr<void> allocate_pinned(Stream stream, size_t bytes);
// `from` must stay as it is until the stream has come this far.
void copy_from_pinned(Stream stream, void* to, const void* from, size_t bytes);

// Copies from pinned memory that go on beside the stream's kernels. One buffer on the device, so in turn:
// start, wait_for (the stream's later work sees the data), and read (the stream's work so far was the last to read it).
// The end of an UploadState waits for its last copy.
struct UploadState;
std::shared_ptr<UploadState> create_upload(Stream stream);
void start_upload(Stream stream, UploadState& upload, void* to, const void* from, size_t bytes);
void wait_for_upload(Stream stream, UploadState& upload);
void upload_was_read(Stream stream, UploadState& upload);
void finish_upload(Stream stream, UploadState& upload);  // the host waits: `from` may be changed

}  // namespace mpanet::cuda
