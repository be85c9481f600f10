// Wrappers of sm_90a's PTX instructions: mbarrier, bulk copies of tensors (TMA), wgmma. For the sources of this folder,
// which are compiled for sm_90a only; the emulation has none of them.
//
// mbarrier: a barrier in shared memory. A phase ends when all its arrivals and all announced bytes have come.
// mbarrier_wait(barrier, parity) waits for the end of the phase with this parity; the first phase has parity 0, and the
// phase before it counts as ended.
//
// tma_load_*: one thread starts the copy of a box of a tensor to shared memory. Its bytes arrive at the barrier.
// Elements outside of the tensor are zero and count as bytes.
//
// tma_store_4d: one thread starts the copy of a box from shared memory. Elements outside of the tensor are left out.
// What was written to shared memory must have been made visible by shared_accesses_to_copies(). tma_store_commit()
// closes a group of the thread's copies, tma_store_wait_read() waits until all of them have read shared memory.
//
// stmatrix: the opposite of ldmatrix (ptx.cuh): register m of lane l is row l / 4, columns 2 (l % 4) and + 1 of matrix
// m.
//
// wgmma: the product of a warpgroup, D (64, N) += A (64, 16) B (16, N), of 16-bit factors in shared memory. It runs
// asynchronously: wgmma_fence() before the first one that uses registers written otherwise; wgmma_wait<N>() waits
// until at most the N newest groups are unfinished. Of lane l in warp w of the group,
//   d[4 j + e] is (16 w + l / 4 + 8 (e / 2), 8 j + 2 (l % 4) + e % 2).
#pragma once
#include <cuda.h>

#include "kernels/cuda/ptx.cuh"

#if defined(__CUDA_ARCH__) && !defined(__CUDA_ARCH_FEAT_SM90_ALL)
#  error "this folder is compiled for sm_90a only"
#endif

namespace mpanet::PRECISION::KERNEL_NS {

__device__ inline void mbarrier_init(uint64_t& barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(&barrier)), "r"(arrivals) : "memory");
}
// Makes initialised barriers visible to bulk copies.
__device__ inline void mbarrier_init_fence() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
__device__ inline void mbarrier_arrive(uint64_t& barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(&barrier)) : "memory");
}
// Arrives, and announces bytes that copies will bring.
__device__ inline void mbarrier_expect(uint64_t& barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(&barrier)), "r"(bytes)
               : "memory");
}
__device__ inline void mbarrier_wait(uint64_t& barrier, uint32_t parity) {
  uint32_t ended = 0;
  while (ended == 0)
    asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}"
                 : "=r"(ended)
                 : "r"(shared_address(&barrier)), "r"(parity)
                 : "memory");
}

// The coordinates of a box's first element, the contiguous dimension first.
__device__ inline void tma_load_2d(void* to, const CUtensorMap& map, uint64_t& barrier, int x, int y) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::
          "r"(shared_address(to)),
      "l"(&map), "r"(shared_address(&barrier)), "r"(x), "r"(y)
      : "memory");
}
__device__ inline void tma_load_3d(void* to, const CUtensorMap& map, uint64_t& barrier, int x, int y, int z) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], "
      "[%2];" ::"r"(shared_address(to)),
      "l"(&map), "r"(shared_address(&barrier)), "r"(x), "r"(y), "r"(z)
      : "memory");
}
// Pixels under the tap (i, j) of a filter: the first one's position under tap (0, 0) is (n, y, x). Later pixels follow
// in the order of the map's grid.
__device__ inline void tma_load_pixels(void* to, const CUtensorMap& map, uint64_t& barrier, int c, int x, int y, int n,
                                       int j, int i) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, "
      "%6}], [%2], {%7, %8};" ::"r"(shared_address(to)),
      "l"(&map), "r"(shared_address(&barrier)), "r"(c), "r"(x), "r"(y), "r"(n), "h"(static_cast<uint16_t>(j)),
      "h"(static_cast<uint16_t>(i))
      : "memory");
}

__device__ inline void tma_load_4d(void* to, const CUtensorMap& map, uint64_t& barrier, int c, int x, int y, int n) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], "
      "[%2];" ::"r"(shared_address(to)),
      "l"(&map), "r"(shared_address(&barrier)), "r"(c), "r"(x), "r"(y), "r"(n)
      : "memory");
}
__device__ inline void tma_store_4d(const CUtensorMap& map, const void* from, int c, int x, int y, int n) {
  asm volatile("cp.async.bulk.tensor.4d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4, %5}], [%1];" ::"l"(&map),
               "r"(shared_address(from)), "r"(c), "r"(x), "r"(y), "r"(n)
               : "memory");
}
__device__ inline void tma_store_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
__device__ inline void tma_store_wait_read() { asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory"); }
// Orders this thread's accesses to shared memory before the copies that are started after it.
__device__ inline void shared_accesses_to_copies() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

__device__ inline void stmatrix(void* row, const uint32_t (&from)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(shared_address(row)),
               "r"(from[0]), "r"(from[1]), "r"(from[2]), "r"(from[3])
               : "memory");
}

__device__ inline void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int Newest>
__device__ inline void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Newest) : "memory");
}
// Orders the compiler's own uses of a register after the wgmma_wait() before this, and before a wgmma after it.
__device__ inline void wgmma_register(float& value) { asm volatile("" : "+f"(value)::"memory"); }

// Barrier `id` (from 1) of the 128 threads of a warpgroup.
__device__ inline void warpgroup_barrier(int id) { asm volatile("bar.sync %0, 128;" ::"r"(id) : "memory"); }

// Changes the registers of a thread of this warpgroup. All its warps must call.
template <int Registers>
__device__ inline void decrease_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers));
}
template <int Registers>
__device__ inline void increase_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers));
}

// The lists of registers of the instructions below.
#define SUMS_8(i)                                                                                             \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), \
      "+f"(d[i + 7])
#define SUMS_RUN(i) SUMS_8(i), SUMS_8(i + 8), SUMS_8(i + 16), SUMS_8(i + 24)
#define SUMS_32 SUMS_RUN(0)
#define SUMS_64 SUMS_32, SUMS_RUN(32)
#define SUMS_128 SUMS_64, SUMS_RUN(64), SUMS_RUN(96)
#define NAMES_32                                                                                                   \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, " \
  "%24, %25, %26, %27, %28, %29, %30, %31"
#define NAMES_64                                                                                           \
  NAMES_32                                                                                                 \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, " \
  "%52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define NAMES_128                                                                                            \
  NAMES_64                                                                                                   \
  ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83, "   \
  "%84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, %101, %102, %103, " \
  "%104, %105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, %119, %120, "   \
  "%121, %122, %123, %124, %125, %126, %127"
// SUMS registers, then the numbers of the operands a, b and of the flags of their order.
#define WGMMA(N, TYPE, SUMS, A, B, FLAG_A, FLAG_B)                                                                \
  asm volatile("{\n.reg .pred add;\nsetp.eq.u32 add, 0, 0;\nwgmma.mma_async.sync.aligned.m64n" #N "k16.f32." TYPE \
               "." TYPE " {" NAMES_##SUMS "}, %" #A ", %" #B ", add, 1, 1, %" #FLAG_A ", %" #FLAG_B ";\n}"        \
               : SUMS_##SUMS                                                                                      \
               : "l"(a), "l"(b), "n"(kWidthA), "n"(kWidthB))

// d += a b. a, b: descriptors of the factors (wgmma_tile.cuh). kWidthA, kWidthB: 1 where the factor is contiguous along
// its width, 0 along the depth.
template <class Element, int kWidthA, int kWidthB>
__device__ inline void wgmma(float (&d)[32], uint64_t a, uint64_t b) {
  if constexpr (std::is_same_v<Element, bfloat16>)
    WGMMA(64, "bf16", 32, 32, 33, 34, 35);
  else
    WGMMA(64, "f16", 32, 32, 33, 34, 35);
}
template <class Element, int kWidthA, int kWidthB>
__device__ inline void wgmma(float (&d)[64], uint64_t a, uint64_t b) {
  if constexpr (std::is_same_v<Element, bfloat16>)
    WGMMA(128, "bf16", 64, 64, 65, 66, 67);
  else
    WGMMA(128, "f16", 64, 64, 65, 66, 67);
}
template <class Element, int kWidthA, int kWidthB>
__device__ inline void wgmma(float (&d)[128], uint64_t a, uint64_t b) {
  if constexpr (std::is_same_v<Element, bfloat16>)
    WGMMA(256, "bf16", 128, 128, 129, 130, 131);
  else
    WGMMA(256, "f16", 128, 128, 129, 130, 131);
}
#undef WGMMA
#undef SUMS_8
#undef SUMS_RUN
#undef SUMS_32
#undef SUMS_64
#undef SUMS_128
#undef NAMES_32
#undef NAMES_64
#undef NAMES_128

}  // namespace mpanet::PRECISION::KERNEL_NS
