// Definitions for a program without the cuda backend: the functions of kernels/cuda that are no kernels.
#include "kernels/cuda/runtime.h"
#include "kernels/cuda/vendor.h"
#include "kernels/survey.h"

namespace mpanet::cuda {

GpuSurvey survey() {
  GpuSurvey none;
  none.problem =
      "this program was built without the cuda backend, which scripts/build adds where it finds nvcc and a card";
  return none;
}

MemoryUse memory_use(Stream) { no_backend("memory_use"); }
void begin_capture(Stream) { no_backend("begin_capture"); }
std::shared_ptr<void> end_capture(Stream) { no_backend("end_capture"); }
void abandon_capture(Stream) { no_backend("abandon_capture"); }
void replay(Stream, void*) { no_backend("replay"); }
std::shared_ptr<void> mark(Stream) { no_backend("mark"); }
double seconds_between(Stream, void*, void*) { no_backend("seconds_between"); }
std::shared_ptr<void> allocate_pinned(Stream, size_t) { no_backend("allocate_pinned"); }
void copy_from_pinned(Stream, void*, const void*, size_t) { no_backend("copy_from_pinned"); }
std::shared_ptr<void> copy_to_pinned(Stream, void*, const void*, size_t) { no_backend("copy_to_pinned"); }
void wait_for(Stream, void*) { no_backend("wait_for"); }
std::shared_ptr<UploadState> create_upload(Stream) { no_backend("create_upload"); }
void start_upload(Stream, UploadState&, void*, const void*, size_t) { no_backend("start_upload"); }
void wait_for_upload(Stream, UploadState&) { no_backend("wait_for_upload"); }
void upload_was_read(Stream, UploadState&) { no_backend("upload_was_read"); }
void finish_upload(Stream, UploadState&) { no_backend("finish_upload"); }
bool has_cudnn() { return false; }
bool has_cublas() { return false; }
void set_vendors(Stream, const Vendors&) { no_backend("set_vendors"); }
const Vendors& vendors_of(Stream) { no_backend("vendors_of"); }

}  // namespace mpanet::cuda
