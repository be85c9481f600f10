#include "kernels/emu/block.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>

#if defined(__SANITIZE_ADDRESS__)
#  include <sanitizer/asan_interface.h>
#else
#  define ASAN_POISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#  define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#endif

MPANET_SIMT_VARIABLE uint3 threadIdx{}, blockIdx{};
MPANET_SIMT_VARIABLE dim3 blockDim{}, gridDim{};

namespace mpanet::simt {

MPANET_SIMT_VARIABLE Block* running_block = nullptr;

namespace {

constexpr size_t kSharedAlignment = 1024, kSharedGuard = 4096, kSharedSpace = 256 << 10;
const auto kGuard = [] {
  std::array<unsigned char, kSharedGuard> guard;
  guard.fill(0xa5);
  return guard;
}();
constexpr unsigned char kNaNByte = 0xff;  // two, four or eight of them are NaN

// Compares source positions. Texts of one file name may have several addresses, one per translation unit.
bool same_position(const Where& a, const Where& b) {
  if (std::memcmp(&a, &b, sizeof a) == 0) return true;
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

unsigned lowest(unsigned bits) { return static_cast<unsigned>(std::countr_zero(bits)); }

}  // namespace

std::string text_of(Where where) { return fmt::format("{}:{}", where.file_name(), where.line()); }
std::string text_of(uint3 index) { return fmt::format("({}, {}, {})", index.x, index.y, index.z); }

Block::Block() : shared_(static_cast<unsigned char*>(std::aligned_alloc(kSharedAlignment, kSharedSpace)), &std::free) {
  static_assert(kMaxSharedBytes + kSharedGuard <= kSharedSpace);
  if (shared_ == nullptr) throw std::bad_alloc();
}
Block::~Block() { ASAN_UNPOISON_MEMORY_REGION(shared_.get(), kSharedSpace); }

std::string Block::name() const { return fmt::format("{}, block {}", launch_->kernel, text_of(blockIdx)); }
std::string Block::name(const Thread& thread) const { return fmt::format("{}, thread {}", name(), text_of(thread.id)); }

void Block::fault(const std::string& text, Where where) const {
  throw Fault(fmt::format("{}: {}, at {}", name(*current_), text, text_of(where)));
}

void Block::begin(const Launch& launch) {
  launch_ = &launch;
  thread_count_ = static_cast<unsigned>(launch.block.count());
  warp_count_ = (thread_count_ + kLanes - 1) / kLanes;
  if (threads_.size() < thread_count_) threads_.resize(thread_count_);
  const dim3 block = launch.block;
  for (unsigned t = 0; t < thread_count_; t++)
    threads_[t].id = {t % block.x, t / block.x % block.y, t / (block.x * block.y)};
  ::blockDim = block;
  ::gridDim = launch.grid;
  ASAN_UNPOISON_MEMORY_REGION(shared_.get(), kSharedSpace);
  std::memcpy(shared_.get() + launch.shared_bytes, kGuard.data(), kSharedGuard);
}

// The state at the start of a block: no thread has begun.
void Block::reset(uint64_t number) {
  const dim3 grid = launch_->grid;
  ::blockIdx = {static_cast<unsigned>(number % grid.x), static_cast<unsigned>(number / grid.x % grid.y),
                static_cast<unsigned>(number / grid.x / grid.y)};
  for (unsigned w = 0; w < warp_count_; w++) {
    const unsigned lanes = std::min<unsigned>(kLanes, thread_count_ - w * kLanes);
    const unsigned exist = lanes == kLanes ? ~0u : (1u << lanes) - 1;
    warps_[w].fresh = exist;
    warps_[w].exited = ~exist;
    warps_[w].ready = warps_[w].at_barrier = 0;
    warps_[w].gathering_count = 0;
  }
  runnable_ = warp_count_ == kLanes ? ~0u : (1u << warp_count_) - 1;
  arrived_ = exited_ = 0;
  predicates_ = 0;
  rotation_ = 0;
  random_ = (launch_->seed * 0x9e3779b97f4a7c15u) ^ (number * 0xbf58476d1ce4e5b9u);
  fault_.clear();
  race_.clear();
  number_ = static_cast<uint32_t>(number);
  fenced_ = false;
  barriers_++;
}

std::string Block::run(uint64_t number) {
  reset(number);
  unsigned char* end = shared_.get() + launch_->shared_bytes;
  std::memset(shared_.get(), kNaNByte, launch_->shared_bytes);
  ASAN_POISON_MEMORY_REGION(end, kSharedGuard);

  running_block = this;
  warp_ = draw_warp();
  current_ = next_thread();
  ::threadIdx = current_->id;
  current_->fiber = take_fiber();
  host_.switch_to(*current_->fiber);
  running_block = nullptr;

  if (!fault_.empty()) abandon();
  ASAN_UNPOISON_MEMORY_REGION(end, kSharedGuard);
  if (fault_.empty()) fault_ = race_;
  if (fault_.empty()) check_guard();
  return fault_;
}

// After a fault: the fibers, which are in the middle of the kernel, are restarted for the next block.
void Block::abandon() {
  free_fibers_.clear();
  for (const auto& fiber : fibers_) {
    fiber->restart([] { running_block->thread_loop(); });
    free_fibers_.push_back(fiber.get());
  }
  for (Thread& thread : threads_) {
    thread.fiber = nullptr;
    thread.copies.clear();
    thread.copy_groups = 0;
  }
}

void Block::check_guard() {
  const unsigned char* end = shared_.get() + launch_->shared_bytes;
  if (std::memcmp(end, kGuard.data(), kSharedGuard) == 0) return;
  const auto changed = std::mismatch(kGuard.begin(), kGuard.end(), end).second - end;
  fault_ = fmt::format("{}: wrote past the end of its {} bytes of shared memory, first {} bytes behind them", name(),
                       launch_->shared_bytes, changed);
}

// The function of every fiber: an endless loop that runs one thread after another.
void Block::thread_loop() {
  for (;;) {
    Fiber* fiber = current_->fiber;
    Thread* next = nullptr;
    try {
      launch_->body(launch_->arguments);
      exit_thread();
      next = next_thread();
    } catch (const Fault& fault) {
      fault_ = fault.what();
    } catch (const std::exception& error) {
      fault_ = fmt::format("{}: {}", name(*current_), error.what());
    } catch (...) {
      fault_ = fmt::format("{}: threw something that is no std::exception", name(*current_));
    }
    if (next != nullptr && next->fiber == nullptr) {  // the next thread has not begun: it uses this fiber
      next->fiber = fiber;
      current_ = next;
      ::threadIdx = next->id;
      continue;
    }
    free_fibers_.push_back(fiber);
    if (next == nullptr) {
      fiber->switch_to(host_);
    } else {
      current_ = next;
      ::threadIdx = next->id;
      switches_++;
      fiber->switch_to(*next->fiber);
    }
  }
}

Fiber* Block::take_fiber() {
  if (free_fibers_.empty()) {
    fibers_.push_back(std::make_unique<Fiber>(static_cast<int>(fibers_.size())));
    fibers_.back()->restart([] { running_block->thread_loop(); });
    free_fibers_.push_back(fibers_.back().get());
  }
  Fiber* fiber = free_fibers_.back();
  free_fibers_.pop_back();
  return fiber;
}

// Suspends the current thread and runs others until it can continue.
void Block::wait() {
  Thread* me = current_;
  Thread* next = next_thread();
  if (next == me) return;
  if (next->fiber == nullptr) next->fiber = take_fiber();
  current_ = next;
  ::threadIdx = next->id;
  switches_++;
  me->fiber->switch_to(*next->fiber);
}

// Chooses the next thread; null at the end of the block. The current thread must be marked as waiting, ready or exited.
Thread* Block::next_thread() {
  unsigned lanes = warps_[warp_].fresh | warps_[warp_].ready;
  if (lanes == 0) {
    if (warps_[warp_].gathering_count > 0) stuck(warps_[warp_]);
    runnable_ &= ~(1u << warp_);
    if (runnable_ == 0 && !release_barrier()) return nullptr;
    warp_ = draw_warp();
    lanes = warps_[warp_].fresh | warps_[warp_].ready;
  }
  const unsigned lane = (lowest(std::rotr(lanes, static_cast<int>(rotation_))) + rotation_) % kLanes;
  warps_[warp_].fresh &= ~(1u << lane);
  warps_[warp_].ready &= ~(1u << lane);
  return &threads_[warp_ * kLanes + lane];
}

void Block::exit_thread() {
  Warp& warp = warps_[warp_];
  const unsigned bit = 1u << lane();
  current_->fiber = nullptr;
  current_->copies.clear();
  current_->copy_groups = 0;
  warp.exited |= bit;
  exited_++;
  for (int i = warp.gathering_count - 1; i >= 0; i--) {  // warp operations do not wait for an exited lane
    const Gathering& gathering = warp.gatherings[i];
    if (gathering.arrived == (gathering.mask & ~warp.exited)) complete(warp, i);
  }
}

int Block::barrier(const char* call, bool predicate, Where where) {
  current_->call = call;
  current_->where = where;
  if (arrived_ == 0) {
    first_ = current_;
  } else if (!same_position(first_->where, where)) {
    fault(fmt::format("divergent barrier: {}, but thread {} waits at {} at {}", call, text_of(first_->id), first_->call,
                      text_of(first_->where)),
          where);
  }
  arrived_++;
  predicates_ += predicate;
  warps_[warp_].at_barrier |= 1u << lane();
  wait();
  return barrier_result_;
}

// To be called when every thread is at the barrier or has exited. Releases the barrier; false when no thread is at it.
bool Block::release_barrier() {
  if (arrived_ == 0) return false;
  if (exited_ > 0) {
    unsigned t = 0;
    while ((warps_[t / kLanes].exited >> t % kLanes & 1) == 0) t++;
    throw Fault(fmt::format("{}: waits at {} for thread {}, which has exited, at {}", name(*first_), first_->call,
                            text_of(threads_[t].id), text_of(first_->where)));
  }
  for (unsigned w = 0; w < warp_count_; w++) {
    warps_[w].ready = warps_[w].at_barrier;
    warps_[w].at_barrier = 0;
  }
  runnable_ = warp_count_ == kLanes ? ~0u : (1u << warp_count_) - 1;
  arrived_ = 0;
  barrier_result_ = predicates_;
  predicates_ = 0;
  barriers_++;
  return true;
}

void Block::collective(const char* call, unsigned mask, void* argument, Finish finish, Where where) {
  Warp& warp = warps_[warp_];
  const unsigned bit = 1u << lane();
  if ((mask & bit) == 0)
    fault(fmt::format("{}: mask {:#010x} leaves out the lane that calls, {}", call, mask, lane()), where);
  current_->call = call;
  current_->where = where;
  warp.arguments[lane()] = argument;
  int i = 0;
  while (i < warp.gathering_count &&
         !(warp.gatherings[i].mask == mask && same_position(warp.gatherings[i].where, where)))
    i++;
  if (i == warp.gathering_count) warp.gatherings[warp.gathering_count++] = {mask, 0, where, finish};
  Gathering& gathering = warp.gatherings[i];
  gathering.arrived |= bit;
  if (gathering.arrived != (mask & ~warp.exited)) return wait();
  complete(warp, i);
  warp.ready &= ~bit;
  // With a seed, sometimes interrupts this warp for another one.
  constexpr uint32_t kInterrupt = 8;
  if (launch_->seed == 0 || warp_count_ == 1 || draw() % kInterrupt != 0) return;
  warp.ready |= bit;
  warp_ = draw_warp();
  wait();
}

void Block::complete(Warp& warp, int i) {
  Gathering& gathering = warp.gatherings[i];
  gathering.finish(warp.arguments.data(), gathering.arrived);
  warp.ready |= gathering.arrived;
  gathering = warp.gatherings[--warp.gathering_count];
}

// Throws Fault: no lane of the warp can continue, because some wait for lanes that wait at another operation.
void Block::stuck(const Warp& warp) const {
  const Thread* lanes = &threads_[static_cast<size_t>(&warp - warps_.data()) * kLanes];
  const Gathering& gathering = warp.gatherings[0];
  const Thread& waiting = lanes[lowest(gathering.arrived)];
  const Thread& missing = lanes[lowest(gathering.mask & ~gathering.arrived & ~warp.exited)];
  throw Fault(fmt::format("{}: divergent warp: {} with mask {:#010x} waits for thread {}, which is at {} {}, at {}",
                          name(waiting), waiting.call, gathering.mask, text_of(missing.id), missing.call,
                          text_of(missing.where), text_of(gathering.where)));
}

// A pseudo-random number from the seed and the block's number (splitmix64). It does not depend on the host thread.
uint32_t Block::draw() {
  random_ += 0x9e3779b97f4a7c15u;
  uint64_t z = random_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return static_cast<uint32_t>(z >> 32);
}

unsigned Block::draw_warp() {
  unsigned warps = runnable_;
  if (launch_->seed == 0) return lowest(warps);
  const uint32_t random = draw();
  rotation_ = random % kLanes;
  for (uint32_t skip = (random / kLanes) % static_cast<uint32_t>(std::popcount(warps)); skip > 0; skip--)
    warps &= warps - 1;
  return lowest(warps);
}

unsigned char* Block::shared_bytes(size_t bytes, Where where) const {
  if (bytes > launch_->shared_bytes)
    fault(fmt::format("uses {} bytes of shared memory, launched with {}", bytes, launch_->shared_bytes), where);
  return shared_.get();
}

bool Block::in_shared(const void* address, size_t bytes) const {
  const auto at = reinterpret_cast<uintptr_t>(address), begin = reinterpret_cast<uintptr_t>(shared_.get());
  return at >= begin && at + bytes <= begin + launch_->shared_bytes;
}

void Block::note_access(const void* address, size_t bytes, bool write, const Code& code) {
  if (!race_.empty() || current_->fiber->contains(address)) return;
  const auto* at = static_cast<const unsigned char*>(address);
  const uint32_t warp = warp_;
  Access other;
  if (at >= shared_.get() && at < shared_.get() + kSharedSpace) {
    const auto offset = static_cast<size_t>(at - shared_.get());
    if (offset + bytes > launch_->shared_bytes) {
      race_ = fmt::format("{}: {} {} bytes at byte {} of its {} bytes of shared memory, at {}", name(*current_),
                          write ? "writes" : "reads", bytes, offset, launch_->shared_bytes, text_of(code));
      return;
    }
    if (!shadow_) shadow_.emplace(kMaxSharedBytes);
    const auto unordered = [](uint32_t) { return false; };
    bool race = false;
    for (size_t i = 0; i < bytes; i++)
      race |= note((*shadow_)[offset + i], write, {barriers_, warp, code}, unordered, &other);
    if (race) report_race("shared memory, with no barrier between", "warp", bytes, write, code, other);
  } else if (note_device_access(address, bytes, write, {launch_->number, number_, code}, &other)) {
    report_race("device memory", "block", bytes, write, code, other);
  }
}

void Block::report_race(const char* memory, const char* who, size_t bytes, bool write, const Code& code,
                        const Access& other) {
  race_ = fmt::format("{}: race in {}: {} {} bytes at {}; another {}{} touched them at {}", name(*current_), memory,
                      write ? "writes" : "reads", bytes, text_of(code), who,
                      other.who == kSeveral ? "" : fmt::format(", {},", other.who), text_of(other.code));
}

int block_barrier(const char* call, bool predicate, Where where) {
  return running_block->barrier(call, predicate, where);
}
void warp_collective(const char* call, unsigned mask, void* argument, Finish finish, Where where) {
  running_block->collective(call, mask, argument, finish, where);
}
void fault(const std::string& text, Where where) {
  if (running_block == nullptr) throw CheckError(fmt::format("{}, at {}", text, text_of(where)));
  running_block->fault(text, where);
}
unsigned char* shared_bytes(size_t bytes, Where where) { return running_block->shared_bytes(bytes, where); }
void misaligned(const void* address, size_t bytes, Where where) {
  fault(fmt::format("misaligned access: {} bytes at {}", bytes, address), where);
}

}  // namespace mpanet::simt
