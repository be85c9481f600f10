// Out of line: this file is compiled without memory-access hooks, so that an atomic does not count as a plain access.
#include "kernels/emu/atomics.h"

#include <algorithm>
#include <atomic>

#include "kernels/emu/races.h"

namespace mpanet::simt {
namespace {

template <Atomic Op, class T>
T combine(T old, T value) {
  if constexpr (Op == Atomic::Add) return old + value;
  if constexpr (Op == Atomic::Sub) return old - value;
  if constexpr (Op == Atomic::Min) return std::min(old, value);
  if constexpr (Op == Atomic::Max) return std::max(old, value);
  if constexpr (Op == Atomic::And) return old & value;
  if constexpr (Op == Atomic::Or) return old | value;
  if constexpr (Op == Atomic::Xor) return old ^ value;
  if constexpr (Op == Atomic::Exchange) return value;
}

}  // namespace

template <Atomic Op, class T>
T atomic_update(T* at, T value) {
  const auto noted = recording ? note_atomic(at) : std::unique_lock<std::mutex>();
  const std::atomic_ref<T> target(*at);
  T old = target.load();
  while (!target.compare_exchange_weak(old, combine<Op>(old, value))) {
  }
  return old;
}

template <class T>
T atomic_compare_and_swap(T* at, T expected, T value) {
  const auto noted = recording ? note_atomic(at) : std::unique_lock<std::mutex>();
  std::atomic_ref<T>(*at).compare_exchange_strong(expected, value);
  return expected;
}

void fence() {
  if (recording) note_fence();
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

#define INSTANTIATE(op, T) template T atomic_update<Atomic::op, T>(T*, T);
#define INSTANTIATE_BITS(T) INSTANTIATE(And, T) INSTANTIATE(Or, T) INSTANTIATE(Xor, T)
#define INSTANTIATE_ORDER(T) INSTANTIATE(Min, T) INSTANTIATE(Max, T)
#define INSTANTIATE_SWAP(T) INSTANTIATE(Exchange, T) template T atomic_compare_and_swap<T>(T*, T, T);
INSTANTIATE(Add, int)
INSTANTIATE(Add, unsigned)
INSTANTIATE(Add, ull)
INSTANTIATE(Add, float)
INSTANTIATE(Add, double)
INSTANTIATE(Sub, int)
INSTANTIATE(Sub, unsigned)
INSTANTIATE_BITS(int)
INSTANTIATE_BITS(unsigned)
INSTANTIATE_BITS(ull)
INSTANTIATE_ORDER(int)
INSTANTIATE_ORDER(unsigned)
INSTANTIATE_ORDER(long long)
INSTANTIATE_ORDER(ull)
INSTANTIATE_SWAP(int)
INSTANTIATE_SWAP(unsigned)
INSTANTIATE_SWAP(ull)
INSTANTIATE(Exchange, float)

}  // namespace mpanet::simt
