// Stacks that run alternately on one host thread. A CUDA thread that waits keeps its state on one.
#pragma once
#include <cstddef>
#if !defined(__x86_64__)
#  include <ucontext.h>
#endif

namespace mpanet::simt {

class Fiber {
 public:
  Fiber() = default;           // the host thread's own stack
  explicit Fiber(int number);  // a new stack above a guard page; different numbers use different cache sets
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // The next switch to this stack calls entry(), which must never return. The stack's content is discarded.
  void restart(void (*entry)());
  // To be called on this stack. Continues with `to`, and returns after a switch back.
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
  // For AddressSanitizer, which must be told about every switch.
  [[maybe_unused]] void* fake_stack_ = nullptr;
  const void* bottom_ = nullptr;
  size_t size_ = 0;
};

}  // namespace mpanet::simt
