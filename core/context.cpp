#include "core/context.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <utility>

#include "core/base/error.h"
#include "core/base/output.h"
#include "core/guarded_memory.h"
#include "kernels/cuda/runtime.h"
#include "kernels/memory.h"

namespace mpanet {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

Arena::Loose loose_memory(Backend backend, Stream stream, GuardedMemory* guarded) {
  if (guarded != nullptr)
    return {[=](size_t bytes) { return guarded->take(bytes); }, [=](void* memory) { guarded->give_back(memory); }};
  return {[=](size_t bytes) { return ON_BACKEND(backend, allocate_apart(stream, bytes)); },
          [=](void* memory) { ON_BACKEND(backend, release_apart(stream, memory)); }};
}

}  // namespace

StreamHandle::StreamHandle(Device device)
    : device_(device), stream_(ON_BACKEND(device.backend, create_stream(device.index))) {}
StreamHandle::~StreamHandle() { ON_BACKEND(device_.backend, destroy_stream(stream_)); }
void StreamHandle::set_tf32(bool on) { ON_BACKEND(device_.backend, set_tf32(stream_, on)); }
bool StreamHandle::can_use_tf32() const { return ON_BACKEND(device_.backend, can_use_tf32(stream_)); }

Buffer::Buffer(Context& context, size_t bytes) : context_(&context), bytes_(bytes) {
  context.persistent_ += bytes;
  context.buffers_made_++;
  if (context.planning()) return;
  if (context.guarded_ != nullptr) {
    memory_ = context.guarded_->take(bytes);
    context.zero(memory_, bytes);
  } else {
    memory_ = ON_BACKEND(context.backend(), allocate(context.stream(), bytes));
  }
}

Buffer::~Buffer() {
  if (context_ == nullptr) return;
  context_->persistent_ -= bytes_;
  if (memory_ == nullptr) return;
  if (context_->guarded_ != nullptr)
    context_->guarded_->give_back(memory_);
  else
    ON_BACKEND(context_->backend(), release(context_->stream(), memory_, bytes_));
}

void Buffer::swap(Buffer& other) noexcept {
  std::swap(context_, other.context_);
  std::swap(memory_, other.memory_);
  std::swap(bytes_, other.bytes_);
}

Context::Context(Device device, Guards guards)
    : device_(device),
      stream_(std::make_shared<StreamHandle>(device)),
      guarded_(guards == Guards::On ? std::make_unique<GuardedMemory>(device.backend, stream()) : nullptr),
      arena_(std::make_unique<Arena>(Arena::Mode::Loose, loose_memory(device.backend, stream(), guarded_.get()))) {}

Context::Context(Device device, std::shared_ptr<StreamHandle> stream, Arena::Mode mode)
    : device_(device), stream_(std::move(stream)), arena_(std::make_unique<Arena>(mode)) {}

Context::Context(Device device, std::shared_ptr<StreamHandle> stream, size_t arena_bytes)
    : device_(device),
      stream_(std::move(stream)),
      slab_bytes_(arena_bytes),
      slab_(ON_BACKEND(device.backend, allocate(stream_->get(), arena_bytes))),
      arena_(std::make_unique<Arena>(slab_, arena_bytes)) {}

Context::~Context() {
  tape_.clear();
  if (slab_ != nullptr) ON_BACKEND(backend(), release(stream_->get(), slab_, slab_bytes_));
  if (guarded_ == nullptr) return;
  const std::string damage = guarded_->damage();
  if (damage.empty()) return;
  note(fmt::format("{}: {}", name_of(device_), damage));
  if (std::uncaught_exceptions() == 0) std::abort();
}

void Context::to_device(void* to, const void* from, size_t bytes) {
  if (!planning()) ON_BACKEND(backend(), copy_to_device(stream(), to, from, bytes));
}

void Context::to_host(void* to, const void* from, size_t bytes) {
  if (planning())
    std::memset(to, 0, bytes);
  else
    ON_BACKEND(backend(), copy_to_host(stream(), to, from, bytes));
}

void Context::zero(void* memory, size_t bytes) {
  if (!planning()) ON_BACKEND(backend(), fill_zero(stream(), memory, bytes));
}

void Context::synchronize() {
  if (planning()) return;
  if (guarded_ != nullptr)
    guarded_->check();
  else
    ON_BACKEND(backend(), synchronize(stream()));
}

void Context::mark() {
  if (backend() == Backend::cuda)
    moments_.push_back({0, cuda::mark(stream())});
  else
    moments_.push_back({now(), nullptr});
}

std::vector<double> Context::take_laps() {
  std::vector<double> laps;
  for (size_t i = 1; i < moments_.size(); i++) {
    const Moment &begin = moments_[i - 1], &end = moments_[i];
    laps.push_back(end.event ? cuda::seconds_between(stream(), begin.event.get(), end.event.get())
                             : end.seconds - begin.seconds);
  }
  moments_.clear();
  return laps;
}

MemoryUse Context::memory_use() const { return backend() == Backend::cuda ? cuda::memory_use(stream()) : MemoryUse{}; }

CapturedWork Context::capture(const std::function<void()>& work) {
  MPANET_CHECK(can_capture() && !planning() && !profiling_, "{} cannot record work{}", name_of(device_),
               planning()   ? " in a plan"
               : profiling_ ? " while it times kernels"
                            : "");
  cuda::begin_capture(stream());
  try {
    work();
  } catch (...) {
    cuda::abandon_capture(stream());
    tape_.clear();
    throw;
  }
  return CapturedWork(cuda::end_capture(stream()));
}

void Context::replay(const CapturedWork& captured) {
  MPANET_CHECK(captured, "expected captured work");
  cuda::replay(stream(), captured.graph_.get());
}

void Context::add_time(const std::string& op, double seconds) {
  OpStatistics& entry = profile_[op];
  entry.seconds += seconds;
  entry.flops += pending_flops_;
  entry.calls++;
  pending_flops_ = 0;
}

std::map<std::string, OpStatistics> Context::take_profile() { return std::exchange(profile_, {}); }

void op_failed(const char* call, const CheckError& error) {
  const std::string op(call, std::strcspn(call, "(")), text = error.what();
  throw CheckError(text.starts_with(op + ":") ? text : op + ": " + text);
}

OpTimer::OpTimer(Context& context, const char* call) : context_(context.profiling() ? &context : nullptr), call_(call) {
  if (context_ == nullptr) return;
  context_->synchronize();
  start_ = now();
}

void OpTimer::stop() {
  if (context_ == nullptr) return;
  context_->synchronize();
  context_->add_time(std::string(call_, std::strcspn(call_, "(")), now() - start_);
}

}  // namespace mpanet
