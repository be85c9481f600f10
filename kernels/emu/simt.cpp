#include <ucontext.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/emu/simt_host.h"
namespace mpanet::simt {
thread_local Thread* self;
thread_local dim3 tid, bid, bdim, gdim;
unsigned seed = 0;
Stats stats;
enum State { Ready, AtBlock, AtWarp, Done };
struct Thread {
  dim3 id;
  unsigned lane, warp;
  State st;
  const char* file;
  int line;
};
#if defined(__x86_64__) && !defined(USE_UCONTEXT)
struct Fiber {
  void* sp = nullptr;
  unsigned char* stack = nullptr;
};
extern "C" void simt_switch(void** from, void* to);
asm(R"(
.text
.globl simt_switch
simt_switch:
  pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
  ret
)");
#else
struct Fiber {
  ucontext_t c;
  unsigned char* stack = nullptr;
};
#endif
constexpr size_t kStack = 64 * 1024;
struct Block {
  std::vector<Thread> th;
  std::deque<Fiber> pool;
  std::vector<int> free_fibers, fiber_of;
  const std::function<void()>* body;
  std::vector<unsigned char> slots[2];
  std::vector<unsigned> phase;
  std::vector<unsigned char> shm;
  std::vector<std::exception_ptr> err;
  int running = -1;
  size_t next = 0;
  std::vector<int> order;
#if defined(__x86_64__) && !defined(USE_UCONTEXT)
  void* main_sp = nullptr;
#else
  ucontext_t mainc;
#endif
};
static thread_local Block B;
static void set_self(int t) {
  self = &B.th[t];
  tid = self->id;
}
static void yield_to_main(int f) {
  stats.switches++;
#if defined(__x86_64__) && !defined(USE_UCONTEXT)
  simt_switch(&B.pool[f].sp, B.main_sp);
#else
  swapcontext(&B.pool[f].c, &B.mainc);
#endif
}
static void fiber_main() {
  for (;;) {  // a fiber that never blocks runs thread after thread: barrier-free kernels pay no switches
    int f = B.running;
    while (B.next < B.order.size()) {
      int t = B.order[B.next++];
      B.fiber_of[t] = f;
      set_self(t);
      try {
        (*B.body)();
      } catch (...) {
        B.err.push_back(std::current_exception());
      }
      self->st = Done;
      f = B.fiber_of[t];
      B.running = f;
    }
    B.free_fibers.push_back(f);
    yield_to_main(f);
  }
}
static int take_fiber() {
  if (!B.free_fibers.empty()) {
    int f = B.free_fibers.back();
    B.free_fibers.pop_back();
    return f;
  }
  B.pool.emplace_back();
  Fiber& f = B.pool.back();
  f.stack = (unsigned char*)std::malloc(kStack);
#if defined(__x86_64__) && !defined(USE_UCONTEXT)
  auto top = (void**)((uintptr_t)(f.stack + kStack) & ~uintptr_t(15));
  *--top = nullptr;
  *--top = (void*)fiber_main;
  for (int i = 0; i < 6; i++) *--top = nullptr;
  f.sp = top;
#else
  getcontext(&f.c);
  f.c.uc_stack.ss_sp = f.stack;
  f.c.uc_stack.ss_size = kStack;
  makecontext(&f.c, fiber_main, 0);
#endif
  return (int)B.pool.size() - 1;
}
static void resume(int f) {
  B.running = f;
#if defined(__x86_64__) && !defined(USE_UCONTEXT)
  simt_switch(&B.main_sp, B.pool[f].sp);
#else
  swapcontext(&B.mainc, &B.pool[f].c);
#endif
}
static void wait(State s, const char* file, int line) {
  Thread* me = self;
  me->st = s;
  me->file = file;
  me->line = line;
  int t = int(me - B.th.data());
  yield_to_main(B.fiber_of[t]);
  set_self(t);
}
void sync_block(const char* f, int l) { wait(AtBlock, f, l); }
void sync_warp(const char* f, int l) { wait(AtWarp, f, l); }
unsigned lane() { return self->lane; }
unsigned char* smem() { return B.shm.data(); }
void* exchange(const void* v, size_t n, const char* f, int l) {
  unsigned t = unsigned(self - B.th.data());
  unsigned ph = B.phase[t]++ & 1;
  std::memcpy(&B.slots[ph][16 * t], v, n);
  unsigned w = self->warp;
  wait(AtWarp, f, l);
  return &B.slots[ph][16 * 32 * w];
}
static std::string where(const Thread& t) { return std::string(t.file) + ":" + std::to_string(t.line); }
void run(dim3 grid, dim3 block, size_t smem_bytes, const std::function<void()>& body) {
  unsigned n = block.x * block.y * block.z;
  bdim = block;
  gdim = grid;
  std::mt19937 rng(seed);
  B.th.resize(n);
  B.fiber_of.assign(n, -1);
  B.phase.assign(n, 0);
  B.body = &body;
  B.order.resize(n);
  B.shm.resize(smem_bytes + 64);
  for (auto& s : B.slots) s.resize(16 * 32 * ((n + 31) / 32));
  for (unsigned bz = 0; bz < grid.z; bz++)
    for (unsigned by = 0; by < grid.y; by++)
      for (unsigned bx = 0; bx < grid.x; bx++) {
        bid = dim3(bx, by, bz);
        stats.threads += n;
        std::memset(B.shm.data(), 0xFF, B.shm.size());
        for (unsigned t = 0; t < n; t++) {
          B.th[t] = {dim3(t % block.x, t / block.x % block.y, t / (block.x * block.y)), t % 32, t / 32, Ready, "", 0};
          B.order[t] = int(t);
        }
        if (seed) std::shuffle(B.order.begin(), B.order.end(), rng);
        B.next = 0;
        std::fill(B.phase.begin(), B.phase.end(), 0u);
        while (B.next < n) resume(take_fiber());  // start every thread up to its first barrier
        unsigned nw = (n + 31) / 32;
        std::vector<int> warps(nw);
        for (unsigned w = 0; w < nw; w++) warps[w] = int(w);
        for (;;) {
          // Greedy skew: pick a warp and run it until it waits for the whole block, before any other warp moves at all.
          if (seed) std::shuffle(warps.begin(), warps.end(), rng);
          for (int w : warps) {
            unsigned lo = 32u * w, hi = std::min(n, lo + 32);
            for (;;) {
              for (unsigned t = lo; t < hi; t++)
                if (B.th[t].st == Ready) resume(B.fiber_of[t]);
              unsigned aw = 0, dn = 0;
              const Thread* first = nullptr;
              for (unsigned t = lo; t < hi; t++) {
                dn += B.th[t].st == Done;
                if (B.th[t].st != AtWarp) continue;
                if (aw++ == 0)
                  first = &B.th[t];
                else if (B.th[t].line != first->line || B.th[t].file != first->file)
                  throw std::runtime_error("divergent warp barrier: " + where(*first) + " vs " + where(B.th[t]));
              }
              if (!aw || aw + dn != hi - lo) break;
              for (unsigned t = lo; t < hi; t++)
                if (B.th[t].st == AtWarp) B.th[t].st = Ready;
            }
          }
          unsigned done = 0, atblock = 0;
          const Thread* first = nullptr;
          for (auto& t : B.th) {
            done += t.st == Done;
            if (t.st != AtBlock) continue;
            if (atblock++ == 0)
              first = &t;
            else if (t.line != first->line || t.file != first->file)
              throw std::runtime_error("divergent __syncthreads: " + where(*first) + " vs " + where(t));
          }
          if (done == n) break;
          if (!atblock || atblock + done != n)
            throw std::runtime_error("deadlock: some lanes wait at a warp barrier the others never reach");
          if (done) throw std::runtime_error("__syncthreads at " + where(*first) + " not reached by exited threads");
          stats.barriers++;
          for (auto& t : B.th) t.st = Ready;
        }
        for (unsigned i = 0; i < 64; i++)
          if (B.shm[smem_bytes + i] != 0xFF) throw std::runtime_error("write past the end of shared memory");
      }
  if (!B.err.empty()) {
    auto e = B.err.front();
    B.err.clear();
    std::rethrow_exception(e);
  }
}
}  // namespace mpanet::simt
