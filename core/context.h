// The context is passed to every op. It holds the device, its stream, the arena and the tape. Nothing of it is global
// or thread-local: two contexts are independent.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/arena.h"
#include "core/device.h"
#include "core/tape.h"
#include "kernels/types.h"

namespace mpanet {

struct CheckError;
class GuardedMemory;

// On: for tests. Tensors and buffers lie between guard zones that hold NaN, and hold NaN themselves until somebody
// writes them (buffers: zero). Damaged zones are a CheckError of synchronize(); a context that nobody asks ends the
// program instead.
enum class Guards { Off, On };

// Owns a backend's stream.
class StreamHandle {
 public:
  explicit StreamHandle(Device device);
  ~StreamHandle();
  StreamHandle(const StreamHandle&) = delete;
  StreamHandle& operator=(const StreamHandle&) = delete;
  Stream get() const { return stream_; }
  Device device() const { return device_; }

 private:
  Device device_;
  Stream stream_;
};

class Context;

// A block of device memory outside the arena (parameters, state), zero at first. In a planning context it has no
// memory and only counts. Must not outlive its context.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Context& context, size_t bytes);
  ~Buffer();
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer gone(std::move(other));
    swap(gone);
    return *this;
  }
  template <class T>
  T* as() const {
    return static_cast<T*>(memory_);
  }
  size_t bytes() const { return bytes_; }

 private:
  void swap(Buffer& other) noexcept;
  Context* context_ = nullptr;
  void* memory_ = nullptr;
  size_t bytes_ = 0;
};

// Work that was recorded once and that one launch runs again.
class CapturedWork {
 public:
  CapturedWork() = default;
  explicit operator bool() const { return graph_ != nullptr; }

 private:
  friend class Context;
  explicit CapturedWork(std::shared_ptr<void> graph) : graph_(std::move(graph)) {}
  std::shared_ptr<void> graph_;
};

struct OpStatistics {
  double seconds = 0, flops = 0;
  int64_t calls = 0;
};

class Context {
 public:
  // Loose memory: tests and small programs.
  explicit Context(Device device, Guards guards = Guards::Off);
  // Plan: runs no kernel, counts memory. `stream` may be shared with the context that will run the plan.
  Context(Device device, std::shared_ptr<StreamHandle> stream, Arena::Mode mode);
  // Slab of planned size, allocated here.
  Context(Device device, std::shared_ptr<StreamHandle> stream, size_t arena_bytes);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  Device device() const { return device_; }
  Backend backend() const { return device_.backend; }
  Stream stream() const { return stream_->get(); }
  const std::shared_ptr<StreamHandle>& stream_handle() const { return stream_; }
  bool planning() const { return arena_->mode() == Arena::Mode::Plan; }
  // Whether kernels are called. In a plan only after set_launching(true): for launches that are watched and not run.
  bool launching() const { return !planning() || launching_; }
  void set_launching(bool on) { launching_ = on; }
  Arena& arena() { return *arena_; }
  Tape& tape() { return tape_; }

  // Whether ops record their backward. Off: embeddings.
  bool recording() const { return recording_; }
  void set_recording(bool on) { recording_ = on; }

  size_t persistent_bytes() const { return persistent_; }  // in Buffers now
  uint64_t buffers_made() const { return buffers_made_; }  // ever: as long as it stays, so do their addresses

  void to_device(void* to, const void* from, size_t bytes);
  void to_host(void* to, const void* from, size_t bytes);
  void zero(void* memory, size_t bytes);
  void synchronize();
  MemoryUse memory_use() const;  // all 0 unless the device is cuda

  // Records what `work` gives to the stream, without running it; replay() runs all of it, at the same addresses. `work`
  // may run kernels, zero() and HostBuffer::send(), and take memory from the arena. Buffers, other copies and
  // synchronisation are CheckErrors. An error in `work` leaves the tape empty. cuda only.
  bool can_capture() const { return backend() == Backend::cuda; }
  CapturedWork capture(const std::function<void()>& work);
  void replay(const CapturedWork& captured);

  // Notes a moment of the device's work. take_laps() waits for the last one and returns the seconds from each to the
  // next, on a GPU by the device's own clock.
  void mark();
  std::vector<double> take_laps();

  // Seconds by kernel, for bench-step. add_flops() counts for the kernel that is called next.
  void set_profiling(bool on) { profiling_ = on; }
  bool profiling() const { return profiling_; }
  void add_flops(double flops) {
    flops_ += flops;
    if (profiling_) pending_flops_ += flops;
  }
  double flops() const { return flops_; }  // added so far, in a plan too
  void add_time(const std::string& op, double seconds);
  std::map<std::string, OpStatistics> take_profile();

 private:
  friend class Buffer;
  Device device_;
  std::shared_ptr<StreamHandle> stream_;
  size_t slab_bytes_ = 0;
  void* slab_ = nullptr;
  std::unique_ptr<GuardedMemory> guarded_;
  std::unique_ptr<Arena> arena_;
  Tape tape_;
  bool recording_ = true, profiling_ = false, launching_ = false;
  double flops_ = 0, pending_flops_ = 0;
  size_t persistent_ = 0;
  uint64_t buffers_made_ = 0;
  std::map<std::string, OpStatistics> profile_;
  struct Moment {
    double seconds = 0;           // of the host's clock; its backends have done their work when a call returns
    std::shared_ptr<void> event;  // cuda
  };
  std::vector<Moment> moments_;
};

// Throws the error of a kernel call again, preceded by the op's name: the call's text up to its parenthesis.
[[noreturn]] void op_failed(const char* call, const CheckError& error);

// Times one kernel call when the context profiles; the op's name is the call's text up to its parenthesis.
class OpTimer {
 public:
  OpTimer(Context& context, const char* call);
  void stop();  // after the call; throws when the kernel was at fault

 private:
  Context* context_;
  const char* call_;
  double start_ = 0;
};

}  // namespace mpanet
