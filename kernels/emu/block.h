// One block of a launch on one host thread: the state of its warps and threads, and the switches between threads.
//
// A thread gets its own stack only when it blocks: a fiber runs one thread after another until a thread waits at a
// barrier or a warp operation; then another fiber continues. So a kernel without barriers runs as a plain loop. A
// thread that blocks chooses the next thread and switches to it directly, without a scheduler in between.
#pragma once
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "kernels/emu/device_types.h"
#include "kernels/emu/fiber.h"
#include "kernels/emu/races.h"
#include "kernels/emu/runtime.h"

namespace mpanet::simt {

struct Launch {
  const char* kernel;
  dim3 grid, block;
  size_t shared_bytes;
  void (*body)(const void* arguments);  // runs one thread of the kernel
  const void* arguments;
  uint32_t seed;
  uint32_t number;  // of the launch, from 1
};

constexpr int kLanes = 32;
constexpr unsigned kMaxThreads = 1024;
constexpr size_t kMaxSharedBytes = 227 << 10;

// An error in a kernel, with a complete message.
struct Fault : CheckError {
  using CheckError::CheckError;
};

// A cp.async copy that is not done yet.
struct PendingCopy {
  unsigned char* to;
  const unsigned char* from;
  int bytes, valid;  // the first `valid` are copied, the rest set to zero
  int group;         // number of groups that the thread had committed before
  Where where;
};

struct Thread {
  uint3 id;
  Fiber* fiber = nullptr;
  const char* call = nullptr;  // the function at which it waits
  Where where;
  std::vector<PendingCopy> copies;
  int copy_groups = 0;  // number of committed groups
};

// A warp operation at which some lanes have arrived.
struct Gathering {
  unsigned mask, arrived;
  Where where;
  Finish finish;
};

struct Warp {
  // One bit per lane. A lane in none of the four waits at a warp operation.
  unsigned fresh, ready, at_barrier, exited;
  int gathering_count;
  std::array<Gathering, kLanes> gatherings;
  std::array<void*, kLanes> arguments;  // of lanes that wait at a warp operation
};

class Block {
 public:
  Block();
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  // To be called before the blocks of a launch.
  void begin(const Launch& launch);
  // Runs one block. Returns the message of its fault, or an empty text.
  std::string run(uint64_t number);

  // Functions of the current thread.
  int barrier(const char* call, bool predicate, Where where);
  void collective(const char* call, unsigned mask, void* argument, Finish finish, Where where);
  unsigned char* shared_bytes(size_t bytes, Where where) const;
  bool in_shared(const void* address, size_t bytes) const;
  Thread& thread() { return *current_; }
  unsigned lane() const { return static_cast<unsigned>(current_ - threads_.data()) % kLanes; }
  [[noreturn]] void fault(const std::string& text, Where where) const;
  // For the race check: an access of the current thread at `code`.
  void note_access(const void* address, size_t bytes, bool write, const Code& code);
  bool fenced() const { return fenced_; }
  void set_fenced() { fenced_ = true; }

  const Launch& launch() const { return *launch_; }
  uint32_t number() const { return number_; }
  int64_t switches() const { return switches_; }

 private:
  void reset(uint64_t number);
  void abandon();
  void thread_loop();
  void exit_thread();
  void wait();
  Thread* next_thread();
  bool release_barrier();
  static void complete(Warp& warp, int gathering);
  [[noreturn]] void stuck(const Warp& warp) const;
  Fiber* take_fiber();
  void check_guard();
  void report_race(const char* memory, const char* who, size_t bytes, bool write, const Code& code,
                   const Access& other);

  uint32_t draw();
  unsigned draw_warp();
  std::string name() const;
  std::string name(const Thread& thread) const;

  const Launch* launch_ = nullptr;
  std::vector<Thread> threads_;
  std::array<Warp, kMaxThreads / kLanes> warps_;
  unsigned thread_count_ = 0, warp_count_ = 0;
  Thread* current_ = nullptr;
  unsigned warp_ = 0;      // of the current thread
  unsigned rotation_ = 0;  // the lane of a warp that runs first
  unsigned runnable_ = 0;  // bits of warps in which a lane is fresh or ready

  const Thread* first_ = nullptr;  // at the barrier
  unsigned arrived_ = 0, exited_ = 0;
  int predicates_ = 0, barrier_result_ = 0;

  uint64_t random_ = 0;
  std::string fault_;
  std::unique_ptr<unsigned char, void (*)(void*)> shared_;

  // For the race check.
  uint32_t number_ = 0;  // of the block
  bool fenced_ = false;
  uint32_t barriers_ = 1;         // number of passed barriers of all blocks
  std::optional<Shadow> shadow_;  // of shared memory
  std::string race_;              // message about the first race

  Fiber host_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> free_fibers_;
  int64_t switches_ = 0;
};

// The block that this host thread runs.
extern MPANET_SIMT_VARIABLE Block* running_block;

std::string text_of(Where where);
std::string text_of(uint3 index);

}  // namespace mpanet::simt
