#include "kernels/emu/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#  include <sanitizer/asan_interface.h>
#  include <sanitizer/common_interface_defs.h>
#endif

namespace mpanet::simt {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kStack = 256 << 10;  // AddressSanitizer has red zones around every variable
#else
constexpr size_t kStack = 64 << 10;
#endif
constexpr size_t kGuardPage = 4096;

thread_local Fiber* arriving = nullptr;  // target of the current switch
#if defined(__SANITIZE_ADDRESS__)
thread_local Fiber* leaving = nullptr;  // source of the current switch
#endif

}  // namespace

#if defined(__x86_64__)
// Pushes the callee-saved registers to the current stack, stores its pointer in *from, and continues with the stack
// `to`.
extern "C" void mpanet_switch_stack(void** from, void* to);
asm(R"(
.text
.globl mpanet_switch_stack
.hidden mpanet_switch_stack
.type mpanet_switch_stack, @function
mpanet_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size mpanet_switch_stack, . - mpanet_switch_stack
)");
#endif

Fiber::Fiber(int number) {
  constexpr int kProtection = PROT_READ | PROT_WRITE, kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* memory = mmap(nullptr, kGuardPage + kStack, kProtection, kFlags, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  mapping_ = static_cast<char*>(memory);
  if (mprotect(mapping_, kGuardPage, PROT_NONE) != 0) throw std::bad_alloc();
  // Different offsets per stack: at equal offsets, all threads' frames would map to a few sets of the L1 cache.
  constexpr int kLine = 64, kLinesPerPage = 64;
  top_ = mapping_ + kGuardPage + kStack - number % kLinesPerPage * kLine;
  bottom_ = mapping_ + kGuardPage;
  size_ = kStack;
}

Fiber::~Fiber() {
  if (mapping_ == nullptr) return;
#if defined(__SANITIZE_ADDRESS__)
  ASAN_UNPOISON_MEMORY_REGION(bottom_, size_);
#endif
  munmap(mapping_, kGuardPage + kStack);
}

void Fiber::restart(void (*entry)()) {
  entry_ = entry;
#if defined(__SANITIZE_ADDRESS__)
  ASAN_UNPOISON_MEMORY_REGION(bottom_, size_);
  fake_stack_ = nullptr;
#endif
#if defined(__x86_64__)
  // The stack of a begin() that has switched away at its start: no return address, begin()'s address, six registers.
  constexpr int kRegisters = 6;
  void** stack = reinterpret_cast<void**>(top_);
  *--stack = nullptr;
  *--stack = reinterpret_cast<void*>(&Fiber::begin);
  for (int i = 0; i < kRegisters; i++) *--stack = nullptr;
  stack_pointer_ = stack;
#else
  getcontext(&context_);
  context_.uc_stack.ss_sp = mapping_ + kGuardPage;
  context_.uc_stack.ss_size = kStack;
  makecontext(&context_, &Fiber::begin, 0);
#endif
}

void Fiber::begin() {
  Fiber* self = arriving;
  self->arrive();
  self->entry_();
}

void Fiber::switch_to(Fiber& to) {
  arriving = &to;
#if defined(__SANITIZE_ADDRESS__)
  leaving = this;
  __sanitizer_start_switch_fiber(&fake_stack_, to.bottom_, to.size_);
#endif
#if defined(__x86_64__)
  mpanet_switch_stack(&stack_pointer_, to.stack_pointer_);
#else
  swapcontext(&context_, &to.context_);
#endif
  arrive();
}

void Fiber::arrive() {
#if defined(__SANITIZE_ADDRESS__)
  // Returns the bounds of the stack that was left; there is no other way to get those of the host thread's stack.
  __sanitizer_finish_switch_fiber(fake_stack_, &leaving->bottom_, &leaving->size_);
#endif
}

}  // namespace mpanet::simt
