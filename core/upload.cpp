#include "core/upload.h"

#include "core/base/error.h"

namespace mpanet {

HostBuffer::HostBuffer(Context& context, size_t bytes) : bytes_(bytes) {
  if (context.backend() == Backend::cuda)
    memory_ = cuda::allocate_pinned(context.stream(), bytes);
  else
    memory_ = std::shared_ptr<char[]>(new char[bytes]());
}

void HostBuffer::send(Context& context, void* to, size_t bytes) const {
  MPANET_CHECK(bytes <= bytes_, "expected at most {} bytes, got {}", bytes_, bytes);
  if (context.planning()) return;
  if (context.backend() == Backend::cuda)
    cuda::copy_from_pinned(context.stream(), to, memory_.get(), bytes);
  else
    context.to_device(to, memory_.get(), bytes);
}

Upload::Upload(Context& context, size_t bytes)
    : context_(&context),
      host_(context, bytes),
      device_(context, bytes),
      state_(context.backend() == Backend::cuda ? cuda::create_upload(context.stream()) : nullptr) {}

void* Upload::host() const {
  if (state_) cuda::finish_upload(context_->stream(), *state_);
  return host_.as<void>();
}

void Upload::start() const {
  if (state_)
    cuda::start_upload(context_->stream(), *state_, device_.as<void>(), host_.as<void>(), host_.bytes());
  else
    context_->to_device(device_.as<void>(), host_.as<void>(), host_.bytes());
}

void* Upload::device() const {
  if (state_) cuda::wait_for_upload(context_->stream(), *state_);
  return device_.as<void>();
}

void Upload::done() const {
  if (state_) cuda::upload_was_read(context_->stream(), *state_);
}

}  // namespace mpanet
