// Barriers, shuffles, votes, matches and reductions over lanes. Each waits until the lanes of its mask have called it
// from the same source position; exited lanes are not waited for. Undefined behaviour of CUDA is a fault: a mask
// without the caller, a value from a lane that is not in the call.
#pragma once
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/emu/runtime.h"

namespace mpanet::simt {

enum class Shuffle { Index, Up, Down, Xor };
enum class Vote { Ballot, All, Any };
enum class Match { Any, All };
enum class Fold { Add, Min, Max, And, Or, Xor };

// The operations on 64-bit patterns, for all types.
uint64_t shuffle(const char* call, Shuffle kind, unsigned mask, uint64_t bits, int operand, int width, Where where);
unsigned vote(const char* call, Vote kind, unsigned mask, bool predicate, Where where);
unsigned match(const char* call, Match kind, unsigned mask, uint64_t bits, Where where);
int64_t fold(const char* call, Fold kind, unsigned mask, int64_t value, Where where);
void warp_barrier(unsigned mask, Where where);
unsigned own_lane_bit();

// The types of CUDA's shuffles and matches.
template <class T>
concept Lane = std::is_arithmetic_v<T> &&(sizeof(T) == 4 || sizeof(T) == 8);

template <Lane T>
uint64_t to_bits(T value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}
template <Lane T>
T shuffle_value(const char* call, Shuffle kind, unsigned mask, T value, int operand, int width, Where where) {
  const uint64_t bits = shuffle(call, kind, mask, to_bits(value), operand, width, where);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace mpanet::simt

#define MPANET_SIMT_HERE ::mpanet::simt::Where where = ::mpanet::simt::Where::current()

inline void __syncthreads(MPANET_SIMT_HERE) { ::mpanet::simt::block_barrier(__func__, false, where); }
inline int __syncthreads_count(int predicate, MPANET_SIMT_HERE) {
  return ::mpanet::simt::block_barrier(__func__, predicate != 0, where);
}
inline int __syncthreads_and(int predicate, MPANET_SIMT_HERE) {
  return ::mpanet::simt::block_barrier(__func__, predicate == 0, where) == 0;
}
inline int __syncthreads_or(int predicate, MPANET_SIMT_HERE) {
  return ::mpanet::simt::block_barrier(__func__, predicate != 0, where) != 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu, MPANET_SIMT_HERE) { ::mpanet::simt::warp_barrier(mask, where); }

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, MPANET_SIMT_HERE) {
  return ::mpanet::simt::shuffle_value(__func__, ::mpanet::simt::Shuffle::Index, mask, value, source, width, where);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, MPANET_SIMT_HERE) {
  return ::mpanet::simt::shuffle_value(__func__, ::mpanet::simt::Shuffle::Up, mask, value, static_cast<int>(delta),
                                       width, where);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, MPANET_SIMT_HERE) {
  return ::mpanet::simt::shuffle_value(__func__, ::mpanet::simt::Shuffle::Down, mask, value, static_cast<int>(delta),
                                       width, where);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, MPANET_SIMT_HERE) {
  return ::mpanet::simt::shuffle_value(__func__, ::mpanet::simt::Shuffle::Xor, mask, value, lanes, width, where);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, MPANET_SIMT_HERE) {
  return ::mpanet::simt::vote(__func__, ::mpanet::simt::Vote::Ballot, mask, predicate != 0, where);
}
inline int __all_sync(unsigned mask, int predicate, MPANET_SIMT_HERE) {
  return static_cast<int>(::mpanet::simt::vote(__func__, ::mpanet::simt::Vote::All, mask, predicate != 0, where));
}
inline int __any_sync(unsigned mask, int predicate, MPANET_SIMT_HERE) {
  return static_cast<int>(::mpanet::simt::vote(__func__, ::mpanet::simt::Vote::Any, mask, predicate != 0, where));
}
// Lanes never run at the same time here, so the result is the smallest one that CUDA allows: only this lane.
inline unsigned __activemask() { return ::mpanet::simt::own_lane_bit(); }

template <class T>
unsigned __match_any_sync(unsigned mask, T value, MPANET_SIMT_HERE) {
  return ::mpanet::simt::match(__func__, ::mpanet::simt::Match::Any, mask, ::mpanet::simt::to_bits(value), where);
}
template <class T>
unsigned __match_all_sync(unsigned mask, T value, int* all, MPANET_SIMT_HERE) {
  const unsigned lanes =
      ::mpanet::simt::match(__func__, ::mpanet::simt::Match::All, mask, ::mpanet::simt::to_bits(value), where);
  *all = lanes != 0;
  return lanes;
}

#define MPANET_SIMT_REDUCE(name, kind, T)                                                                  \
  inline T __reduce_##name##_sync(unsigned mask, T value, MPANET_SIMT_HERE) {                              \
    return static_cast<T>(::mpanet::simt::fold(__func__, ::mpanet::simt::Fold::kind, mask, value, where)); \
  }
MPANET_SIMT_REDUCE(add, Add, unsigned)
MPANET_SIMT_REDUCE(add, Add, int)
MPANET_SIMT_REDUCE(min, Min, unsigned)
MPANET_SIMT_REDUCE(min, Min, int)
MPANET_SIMT_REDUCE(max, Max, unsigned)
MPANET_SIMT_REDUCE(max, Max, int)
MPANET_SIMT_REDUCE(and, And, unsigned)
MPANET_SIMT_REDUCE(or, Or, unsigned)
MPANET_SIMT_REDUCE(xor, Xor, unsigned)
#undef MPANET_SIMT_REDUCE
