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

// On: for tests. Tensors and buffers lie between guard zones of NaN. Tensors are NaN until a kernel writes them,
// buffers are zero. synchronize() throws CheckError when a zone was overwritten; the context's destructor ends the
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
  // Whether products of floats are in TF32 (kernels/memory.inc). To be called before memory is planned.
  void set_tf32(bool on);
  bool can_use_tf32() const;

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

// Work on a stream that was recorded once and can be replayed with one launch.
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
  // Whether kernels are called. In a plan only after set_launching(true), for listing launches without running them.
  bool launching() const { return !planning() || launching_; }
  void set_launching(bool on) { launching_ = on; }
  Arena& arena() { return *arena_; }
  Tape& tape() { return tape_; }

  // Whether ops record their backward. Off: embeddings.
  bool recording() const { return recording_; }
  void set_recording(bool on) { recording_ = on; }

  size_t persistent_bytes() const { return persistent_; }  // in Buffers now
  uint64_t buffers_made() const { return buffers_made_; }  // in total; while it is the same, addresses are too

  void to_device(void* to, const void* from, size_t bytes);
  void to_host(void* to, const void* from, size_t bytes);
  void zero(void* memory, size_t bytes);
  void synchronize();
  MemoryUse memory_use() const;  // all 0 unless the device is cuda

  // Records the stream operations of `work` without running them. replay() runs them, at the same addresses. `work` may
  // launch kernels, zero() and HostBuffer::send(), and take memory from the arena. Making buffers, other copies and
  // synchronisation are CheckErrors. An error in `work` leaves the tape empty. cuda only.
  bool can_capture() const { return backend() == Backend::cuda; }
  CapturedWork capture(const std::function<void()>& work);
  void replay(const CapturedWork& captured);

  // mark() records a time in the stream. take_laps() waits for the last mark and returns the seconds between
  // consecutive marks, on a GPU by the device's clock.
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
    double seconds = 0;           // cpu, emu: the host's clock; their kernels are done when a call returns
    std::shared_ptr<void> event;  // cuda
  };
  std::vector<Moment> moments_;
};

// Throws the error of a kernel call again, with the op's name before it: the call's text up to its parenthesis.
[[noreturn]] void op_failed(const char* call, const CheckError& error);

// Times one kernel call when the context profiles; the op's name is the call's text up to its parenthesis.
class OpTimer {
 public:
  OpTimer(Context& context, const char* call);
  void stop();  // to be called after the kernel; throws an error of the kernel

 private:
  Context* context_;
  const char* call_;
  double start_ = 0;
};

}  // namespace mpanet
