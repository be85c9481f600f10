// One block of a launch on one host thread: its warps, who may run, and what they wait for.
//
// A thread gets a stack of its own only when it blocks: a fiber runs thread after thread until one of them waits at a
// barrier or a warp operation, and only then another fiber takes over. So a kernel without barriers runs as a plain
// loop. Whoever blocks picks the next thread and switches to it directly; there is no scheduler to go through.
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
  void (*body)(const void* arguments);  // what one thread does
  const void* arguments;
  uint32_t seed;
  uint32_t number;  // of the launch, from 1
};

constexpr int kLanes = 32;
constexpr unsigned kMaxThreads = 1024;
constexpr size_t kMaxSharedBytes = 227 << 10;

// A fault whose message is complete.
struct Fault : CheckError {
  using CheckError::CheckError;
};

// A cp.async copy that a thread has given out and that has not arrived.
struct PendingCopy {
  unsigned char* to;
  const unsigned char* from;
  int bytes, valid;  // the first `valid` are copied, the rest zeroed
  int group;         // how many groups the thread had committed before
  Where where;
};

struct Thread {
  uint3 id;
  Fiber* fiber = nullptr;
  const char* call = nullptr;  // what it waits at
  Where where;
  std::vector<PendingCopy> copies;
  int copy_groups = 0;  // committed
};

// Lanes that wait for each other.
struct Gathering {
  unsigned mask, arrived;
  Where where;
  Finish finish;
};

struct Warp {
  // Bits of lanes. Those in none of the four wait for other lanes.
  unsigned fresh, ready, at_barrier, exited;
  int gathering_count;
  std::array<Gathering, kLanes> gatherings;
  std::array<void*, kLanes> arguments;  // of lanes that wait for other lanes
};

class Block {
 public:
  Block();
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  // Before the blocks of a launch.
  void begin(const Launch& launch);
  // Runs one block; returns the fault, or nothing.
  std::string run(uint64_t number);

  // For the running thread.
  int barrier(const char* call, bool predicate, Where where);
  void collective(const char* call, unsigned mask, void* argument, Finish finish, Where where);
  unsigned char* shared_bytes(size_t bytes, Where where) const;
  bool in_shared(const void* address, size_t bytes) const;
  Thread& thread() { return *current_; }
  unsigned lane() const { return static_cast<unsigned>(current_ - threads_.data()) % kLanes; }
  [[noreturn]] void fault(const std::string& text, Where where) const;
  // For races: an access that the running thread makes at `code`.
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
  unsigned warp_ = 0;      // the running thread's
  unsigned rotation_ = 0;  // which lane of it comes first
  unsigned runnable_ = 0;  // bits of warps in which a lane is fresh or ready

  const Thread* first_ = nullptr;  // at the barrier
  unsigned arrived_ = 0, exited_ = 0;
  int predicates_ = 0, barrier_result_ = 0;

  uint64_t random_ = 0;
  std::string fault_;
  std::unique_ptr<unsigned char, void (*)(void*)> shared_;

  // For races.
  uint32_t number_ = 0;  // of the block
  bool fenced_ = false;
  uint32_t barriers_ = 1;         // passed, over all blocks
  std::optional<Shadow> shadow_;  // of shared memory
  std::string race_;              // the first

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
