#include "core/upload.h"

#include <utility>

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
      device_(context, bytes),
      state_(context.backend() == Backend::cuda && !context.planning() ? cuda::create_upload(context.stream())
                                                                       : nullptr) {}

void* Upload::host() {
  if (state_) cuda::finish_upload(context_->stream(), *state_);
  if (!host_) host_ = std::make_unique<HostBuffer>(*context_, device_.bytes());
  return host_->as<void>();
}

void Upload::start() {
  MPANET_CHECK(host_ != nullptr, "expected a buffer that was filled");
  copy(host_->as<void>(), host_->bytes());
}

void Upload::start(std::shared_ptr<const void> from, size_t bytes) {
  MPANET_CHECK(bytes <= device_.bytes(), "expected at most {} bytes, got {}", device_.bytes(), bytes);
  if (state_) cuda::finish_upload(context_->stream(), *state_);
  from_ = std::move(from);
  copy(from_.get(), bytes);
}

void Upload::copy(const void* from, size_t bytes) const {
  if (state_)
    cuda::start_upload(context_->stream(), *state_, device_.as<void>(), from, bytes);
  else
    context_->to_device(device_.as<void>(), from, bytes);
}

void* Upload::device() const {
  if (state_) cuda::wait_for_upload(context_->stream(), *state_);
  return device_.as<void>();
}

void Upload::done() const {
  if (state_) cuda::upload_was_read(context_->stream(), *state_);
}

}  // namespace mpanet
