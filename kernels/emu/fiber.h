// Stacks that take turns on one host thread: what a CUDA thread that has to wait keeps its place on.
#pragma once
#include <cstddef>
#if !defined(__x86_64__)
#  include <ucontext.h>
#endif

namespace mpanet::simt {

class Fiber {
 public:
  Fiber() = default;           // the host thread's own stack
  explicit Fiber(int number);  // a new stack, mapped above a page that faults; numbers spread stacks over cache sets
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // The next switch to this stack calls entry(), which must never return. What was on the stack is forgotten.
  void restart(void (*entry)());
  // Called on this stack: goes on with `to`. Returns when somebody switches back.
  void switch_to(Fiber& to);
  bool contains(const void* address) const { return address >= mapping_ && address < top_; }

 private:
  static void begin();
  void arrive();

  char* mapping_ = nullptr;
  char* top_ = nullptr;
  void (*entry_)() = nullptr;
#if defined(__x86_64__)
  void* stack_pointer_ = nullptr;
#else
  ucontext_t context_;
#endif
  // For AddressSanitizer, which wants to hear of every switch.
  [[maybe_unused]] void* fake_stack_ = nullptr;
  const void* bottom_ = nullptr;
  size_t size_ = 0;
};

}  // namespace mpanet::simt
