// Conversion between storage and real in device code, put(), which implements Write, the vector type Pack, and a ReLU's
// signs.
#pragma once
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/cuda/simt.h"

// Pragmas before a loop, for nvcc only. UNROLL: unrolls a loop whose few steps are known at compile time. ONE_BY_ONE:
// prevents unrolling of a loop that would spill registers on some architectures.
#if defined(__CUDACC__)
#  define UNROLL _Pragma("unroll")
#  define ONE_BY_ONE _Pragma("unroll 1")
#else
#  define UNROLL
#  define ONE_BY_ONE
#endif

namespace mpanet::PRECISION::KERNEL_NS {

using std::exp;
using std::fabs;
using std::fma;
using std::log;
using std::sqrt;

__device__ inline double load(double value) { return value; }
__device__ inline float load(float value) { return value; }

#if defined(__CUDACC__)
__device__ inline float load(bfloat16 value) { return __uint_as_float(static_cast<uint32_t>(value.bits) << 16); }
__device__ inline float load(float16 value) { return __half2float(__ushort_as_half(value.bits)); }
template <class T>
__device__ inline T store(real value) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    T stored;
    stored.bits = __bfloat16_as_ushort(__float2bfloat16_rn(value));
    return stored;
  } else if constexpr (std::is_same_v<T, float16>) {
    T stored;
    stored.bits = __half_as_ushort(__float2half_rn(value));
    return stored;
  } else {
    return static_cast<T>(value);
  }
}
// Two values of 16 bits, rounded by one instruction.
template <class T>
__device__ inline auto store_two(float first, float second) {
  if constexpr (std::is_same_v<T, bfloat16>)
    return __floats2bfloat162_rn(first, second);
  else
    return __floats2half2_rn(first, second);
}
#else
inline float load(bfloat16 value) { return static_cast<float>(value); }
inline float load(float16 value) { return static_cast<float>(value); }
template <class T>
T store(real value) {
  return static_cast<T>(value);
}
template <class T>
std::array<T, 2> store_two(float first, float second) {
  return {static_cast<T>(first), static_cast<T>(second)};
}
#endif

template <class T>
__device__ inline void put(T& to, real value, Write write) {
  to = store<T>(write == Write::Add ? static_cast<real>(load(to)) + value : value);
}

// ReLU; NaN for NaN.
__device__ inline real rectify(real value) { return value < 0 ? real{0} : value; }

// By value: std::min takes references, and device code has no address of a constexpr variable.
template <class T>
constexpr __host__ __device__ T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
constexpr __host__ __device__ T max(T a, T b) {
  return a < b ? b : a;
}

constexpr __host__ __device__ int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// N elements that are loaded and stored together, with one instruction per 16 bytes. kFull lanes are 16 bytes; N = 1 is
// for widths and addresses that packs do not fit. Kernels have a template parameter N; launchers use packs_fit().
template <class T>
constexpr int kFull = 16 / static_cast<int>(sizeof(T));

template <class T, int N>
struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Pack {
  T lane[N];
};

// A pack that is not aligned is a fault on a device and under the emulation.
template <class Pack>
__device__ inline void check_pack([[maybe_unused]] const void* address) {
#if !defined(__CUDACC__)
  simt::check_aligned(address, alignof(Pack));
#endif
}
template <int N, class T>
__device__ inline Pack<T, N> load_pack(const T* from) {
  check_pack<Pack<T, N>>(from);
  return *reinterpret_cast<const Pack<T, N>*>(from);
}
template <int N, class T>
__device__ inline void store_pack(T* to, const Pack<T, N>& pack) {
  check_pack<Pack<T, N>>(to);
  *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

// Converts a pack to real. Two bfloat16 are one word: one mask converts the upper one, one shift the lower one.
template <int N, class T>
__device__ inline void unpack(const Pack<T, N>& pack, real (&to)[N]) {
  if constexpr (std::is_same_v<T, bfloat16> && N % 2 == 0) {
    UNROLL
    for (int i = 0; i < N; i += 2) {
      uint32_t two;
      memcpy(&two, pack.lane + i, sizeof(two));
      to[i] = std::bit_cast<float>(two << 16);
      to[i + 1] = std::bit_cast<float>(two & 0xffff0000u);
    }
#if defined(__CUDACC__)
  } else if constexpr (std::is_same_v<T, float16> && N % 2 == 0) {
    UNROLL
    for (int i = 0; i < N; i += 2) {
      __half2 two;
      memcpy(&two, pack.lane + i, sizeof(two));
      to[i] = __low2float(two);
      to[i + 1] = __high2float(two);
    }
#endif
  } else {
    UNROLL
    for (int i = 0; i < N; i++) to[i] = load(pack.lane[i]);
  }
}

// Rounds values to a pack.
template <class T, int N>
__device__ inline Pack<T, N> pack_of(const real (&values)[N]) {
  Pack<T, N> pack;
  if constexpr (sizeof(T) == 2 && N % 2 == 0) {
    UNROLL
    for (int i = 0; i < N; i += 2) {
      const auto two = store_two<T>(values[i], values[i + 1]);
      memcpy(pack.lane + i, &two, sizeof(two));
    }
  } else {
    UNROLL
    for (int i = 0; i < N; i++) pack.lane[i] = store<T>(values[i]);
  }
  return pack;
}

// Load N elements as real; store N values as T.
template <int N, class T>
__device__ inline void load_lanes(const T* from, real (&to)[N]) {
  unpack(load_pack<N>(from), to);
}
template <int N, class T>
__device__ inline void put_lanes(T* to, const real (&values)[N], Write write) {
  if (write == Write::Set) return store_pack(to, pack_of<T>(values));
  real sums[N];
  load_lanes(to, sums);
  UNROLL
  for (int i = 0; i < N; i++) sums[i] += values[i];
  store_pack(to, pack_of<T>(sums));
}

// Of a ReLU's mask: bit v is that of element at + v, for a pack of elements that begins at a multiple of its length.
__device__ inline unsigned load_signs(const uint8_t* signs, int64_t at) {
  return static_cast<unsigned>(signs[at >> 3]) >> (at & 7);
}

// Whether rows of `width` elements that begin at these addresses can be read in packs of kFull<storage>.
template <class... T>
bool packs_fit(int64_t width, const T*... start) {
  return width % kFull<storage> == 0 && ((reinterpret_cast<uintptr_t>(start) % 16 == 0) && ...);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
