// Atomics of device code, for CUDA's types. Host threads run blocks concurrently, so these are real atomics.
#pragma once
#include <concepts>
#include <type_traits>

namespace mpanet::simt {

template <class T, class... Types>
concept OneOf = (std::same_as<T, Types> || ...);

enum class Atomic { Add, Sub, Min, Max, And, Or, Xor, Exchange };

// Replaces *at by (*at OP value) and returns the old value. Defined in atomics.cpp for every type below.
template <Atomic Op, class T>
T atomic_update(T* at, T value);
template <class T>
T atomic_compare_and_swap(T* at, T expected, T value);
void fence();

using ull = unsigned long long;

}  // namespace mpanet::simt

#define MPANET_SIMT_ATOMIC(name, op, ...)                                           \
  template <::mpanet::simt::OneOf<__VA_ARGS__> T>                                   \
  T name(T* at, std::type_identity_t<T> value) {                                    \
    return ::mpanet::simt::atomic_update<::mpanet::simt::Atomic::op, T>(at, value); \
  }
MPANET_SIMT_ATOMIC(atomicAdd, Add, int, unsigned, ::mpanet::simt::ull, float, double)
MPANET_SIMT_ATOMIC(atomicSub, Sub, int, unsigned)
MPANET_SIMT_ATOMIC(atomicMin, Min, int, unsigned, long long, ::mpanet::simt::ull)
MPANET_SIMT_ATOMIC(atomicMax, Max, int, unsigned, long long, ::mpanet::simt::ull)
MPANET_SIMT_ATOMIC(atomicAnd, And, int, unsigned, ::mpanet::simt::ull)
MPANET_SIMT_ATOMIC(atomicOr, Or, int, unsigned, ::mpanet::simt::ull)
MPANET_SIMT_ATOMIC(atomicXor, Xor, int, unsigned, ::mpanet::simt::ull)
MPANET_SIMT_ATOMIC(atomicExch, Exchange, int, unsigned, ::mpanet::simt::ull, float)
#undef MPANET_SIMT_ATOMIC

template <::mpanet::simt::OneOf<int, unsigned, ::mpanet::simt::ull> T>
T atomicCAS(T* at, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  return ::mpanet::simt::atomic_compare_and_swap<T>(at, expected, value);
}

inline void __threadfence() { ::mpanet::simt::fence(); }
inline void __threadfence_block() { ::mpanet::simt::fence(); }
