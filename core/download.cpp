#include "core/download.h"

#include "core/base/error.h"

namespace mpanet {

Download::Download(Context& context, size_t bytes)
    : context_(&context),
      copies_{Copy{HostBuffer(context, bytes), nullptr}, Copy{HostBuffer(context, bytes), nullptr}} {}

void Download::start(const void* from) {
  Copy& copy = copies_[static_cast<size_t>(started_++ % kKept)];
  if (context_->backend() == Backend::cuda)
    copy.event = cuda::copy_to_pinned(context_->stream(), copy.host.as<void>(), from, copy.host.bytes());
  else
    context_->to_host(copy.host.as<void>(), from, copy.host.bytes());
}

const void* Download::wait(int age) const {
  MPANET_CHECK(age >= 0 && age < kept(), "expected one of the last {} copies, got the one {} before the last", kept(),
               age);
  const Copy& copy = copies_[static_cast<size_t>((started_ - 1 - age) % kKept)];
  if (copy.event) cuda::wait_for(context_->stream(), copy.event.get());
  return copy.host.as<void>();
}

}  // namespace mpanet
