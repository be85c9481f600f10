#include "core/download.h"

#include "core/base/error.h"

namespace mpanet {

void HostCopy::start(const void* from) {
  if (context_->backend() == Backend::cuda)
    event_ = cuda::copy_to_pinned(context_->stream(), host_.as<void>(), from, host_.bytes());
  else
    context_->to_host(host_.as<void>(), from, host_.bytes());
}

const void* HostCopy::wait() const {
  if (event_) cuda::wait_for(context_->stream(), event_.get());
  return host_.as<void>();
}

Download::Download(Context& context, size_t bytes) : copies_{HostCopy(context, bytes), HostCopy(context, bytes)} {}

void Download::start(const void* from) { copies_[static_cast<size_t>(started_++ % kKept)].start(from); }

const void* Download::wait(int age) const {
  MPANET_CHECK(age >= 0 && age < kept(), "expected one of the last {} copies, got the one {} before the last", kept(),
               age);
  return copies_[static_cast<size_t>((started_ - 1 - age) % kKept)].wait();
}

}  // namespace mpanet
