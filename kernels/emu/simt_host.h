// The emulation as a .cu file sees it: one block at a time, threads as fibers.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <utility>

#include "kernels/types.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

namespace mpanet::simt {
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct Thread;
extern thread_local Thread* self;
extern thread_local dim3 tid, bid, bdim, gdim;
void sync_block(const char* file, int line);
void sync_warp(const char* file, int line);
void* exchange(const void* value, size_t bytes, const char* file, int line);  // all lanes' values, 16 bytes apart
unsigned lane();
unsigned char* smem();
void run(dim3 grid, dim3 block, size_t smem, const std::function<void()>& body);
template <class T>
T shfl(T v, unsigned src, const char* f, int l) {
  static_assert(sizeof(T) <= 16);
  auto* all = static_cast<unsigned char*>(exchange(&v, sizeof v, f, l));
  T r;
  std::memcpy(&r, all + 16 * (src & 31), sizeof r);
  return r;
}
inline unsigned ballot(bool v, const char* f, int l) {
  const uint32_t mine = v;
  auto* all = static_cast<unsigned char*>(exchange(&mine, sizeof mine, f, l));
  unsigned bits = 0;
  for (int i = 0; i < 32; i++) {
    uint32_t other;
    std::memcpy(&other, all + 16 * i, 4);
    bits |= (other & 1) << i;
  }
  return bits;
}
template <class T>
T atomic_add(T* at, T v) {
  const T old = *at;
  *at = old + v;
  return old;
}
extern unsigned seed;
struct Stats {
  long switches = 0, threads = 0, barriers = 0;
};
extern Stats stats;
}  // namespace mpanet::simt
#define threadIdx ::mpanet::simt::tid
#define blockIdx ::mpanet::simt::bid
#define blockDim ::mpanet::simt::bdim
#define gridDim ::mpanet::simt::gdim
#define __syncthreads() ::mpanet::simt::sync_block(__FILE__, __LINE__)
#define __syncwarp(...) ::mpanet::simt::sync_warp(__FILE__, __LINE__)
#define __shfl_xor_sync(m, v, o) ::mpanet::simt::shfl((v), ::mpanet::simt::lane() ^ (o), __FILE__, __LINE__)
#define __shfl_sync(m, v, o) ::mpanet::simt::shfl((v), (o), __FILE__, __LINE__)
#define __shfl_down_sync(m, v, o)                                                                                      \
  ::mpanet::simt::shfl((v), ::mpanet::simt::lane() + (o) < 32 ? ::mpanet::simt::lane() + (o) : ::mpanet::simt::lane(), \
                       __FILE__, __LINE__)
#define __ballot_sync(m, v) ::mpanet::simt::ballot((v), __FILE__, __LINE__)
#define __any_sync(m, v) (::mpanet::simt::ballot((v), __FILE__, __LINE__) != 0)
#define atomicAdd(p, v) ::mpanet::simt::atomic_add((p), (v))
#define __threadfence() ((void)0)
namespace mpanet::emu {
using simt::dim3;
template <class T>
T& shared_memory() {
  return *reinterpret_cast<T*>(simt::smem());
}
template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, size_t smem, Stream, A... args) {
  if (grid.x * grid.y * grid.z == 0) kernel_check_failed(name, "something to do", "grid > 0");
  simt::run(grid, block, smem, [&] { kernel(static_cast<P>(args)...); });
}
}  // namespace mpanet::emu
namespace mpanet {
using simt::dim3;
}
