// CUDA's keywords, types and built-in variables for a host compiler.
#pragma once
#include <cstddef>
#include <cstdint>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(bytes) alignas(bytes)

// Encodes the maximum number of threads of a block, to be read at launch: the kernel's entry has (bound / 32 +
// kLaunchBoundsMark) one-byte no-operations. Only an attribute can replace __launch_bounds__, and this one has a
// number. Other compilers and processors ignore the bound.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#  define MPANET_SIMT_LAUNCH_BOUNDS
#  define __launch_bounds__(threads, ...) \
    __attribute__((patchable_function_entry(((threads) + 31) / 32 + ::mpanet::simt::kLaunchBoundsMark)))
#else
#  define __launch_bounds__(...)
#endif

namespace mpanet::simt {
constexpr int kLaunchBoundsMark = 8;  // more no-operations than a compiler emits otherwise
}

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
  uint64_t count() const { return uint64_t{x} * y * z; }
};

// Thread-local storage with the initial-exec model: a read is one instruction, because no shared library is involved.
#define MPANET_SIMT_VARIABLE constinit thread_local __attribute__((tls_model("initial-exec")))
extern MPANET_SIMT_VARIABLE uint3 threadIdx, blockIdx;
extern MPANET_SIMT_VARIABLE dim3 blockDim, gridDim;
constexpr int warpSize = 32;

struct alignas(8) int2 {
  int x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) double2 {
  double x, y;
};
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline double2 make_double2(double x, double y) { return {x, y}; }
