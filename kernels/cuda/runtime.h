// Functions of the cuda backend besides memory.inc. Callers need no CUDA header. Errors are CheckErrors.
#pragma once
#include <cstddef>
#include <memory>

#include "kernels/types.h"

namespace mpanet::cuda {

MemoryUse memory_use(Stream stream);

// Work on the stream between begin and end is recorded and not run: kernels, fill_zero, copy_from_pinned. Allocations,
// synchronisation, and copies to or from memory that is not pinned are CheckErrors.
void begin_capture(Stream stream);
std::shared_ptr<void> end_capture(Stream stream);  // the recorded work, for replay()
void abandon_capture(Stream stream);
void replay(Stream stream, void* captured);

// Records a time in the stream. seconds_between() waits for `end` and returns the seconds from `begin` to it.
std::shared_ptr<void> mark(Stream stream);
double seconds_between(Stream stream, void* begin, void* end);

// Pinned host memory, zero at first. Its destruction waits for the stream.
std::shared_ptr<void> allocate_pinned(Stream stream, size_t bytes);
// `from` must not change until the stream has done the copy.
void copy_from_pinned(Stream stream, void* to, const void* from, size_t bytes);
// Does not wait. wait_for() with the returned event waits for the copy, and not for later work on the stream.
std::shared_ptr<void> copy_to_pinned(Stream stream, void* to, const void* from, size_t bytes);
void wait_for(Stream stream, void* event);

// Copies from pinned memory that overlap the stream's kernels. For the one buffer on the device call in this order:
// start_upload; wait_for_upload (later work on the stream sees the data); upload_was_read (earlier work on the stream
// is the last to read it). The destruction of an UploadState waits for its last copy.
struct UploadState;
std::shared_ptr<UploadState> create_upload(Stream stream);
void start_upload(Stream stream, UploadState& upload, void* to, const void* from, size_t bytes);
void wait_for_upload(Stream stream, UploadState& upload);
void upload_was_read(Stream stream, UploadState& upload);
void finish_upload(Stream stream, UploadState& upload);  // waits for the copy: `from` may be changed afterwards

}  // namespace mpanet::cuda
