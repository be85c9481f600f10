// Wrappers of PTX instructions that CUDA C++ has no function for, and the same functions for the emulation.
//
// cp.async copies from device to shared memory asynchronously. cp_async_commit() closes a group with the copies since
// the last commit. cp_async_wait<N>() waits until at most the N newest groups are unfinished. It waits for the thread's
// own copies; other threads see them after a barrier. Before sm_80 the copy is synchronous. cp_async_16_if() and
// cp_async_4_if() copy zeros if the condition is false, whatever the address is.
//
// ldmatrix loads one, two or four 8 x 8 matrices of 16-bit elements from shared memory. Lane 8 m + r provides the
// address of row r of matrix m (16 bytes, aligned to 16; with fewer matrices the other lanes' addresses are ignored).
// Register m of lane l receives row l / 4, columns 2 (l % 4) and + 1, with the lower column in the lower half; with
// .trans, of the transposed matrix. From a row-major A this is the layout of mma's A; with .trans from a row-major B
// (k, n), of mma's B.
//
// mma.sync computes D = A B + D with all 32 lanes. With g = lane / 4 and t = lane % 4:
//
//   m16n8k16, 16 bit   A  a[0] (g, 2t..2t+1)   a[1] (g+8, 2t..)   a[2] (g, 2t+8..)   a[3] (g+8, 2t+8..)
//                      B  b[0] (2t..2t+1, g)   b[1] (2t+8.., g)
//   m16n8k8, 16 bit    A  a[0] (g, 2t..2t+1)   a[1] (g+8, 2t..)       B  b[0] (2t..2t+1, g)
//   m16n8k8, tf32      A  a[0] (g, t)   a[1] (g+8, t)   a[2] (g, t+4)   a[3] (g+8, t+4)
//                      B  b[0] (t, g)   b[1] (t+4, g)
//   D of these, float  d[0] (g, 2t)   d[1] (g, 2t+1)   d[2] (g+8, 2t)   d[3] (g+8, 2t+1)
//   m8n8k4, f64        A  (g, t)     B  (t, g)     D  d[0] (g, 2t)   d[1] (g, 2t+1)
//
// A is (row, k), B (k, column), D (row, column). A register has two 16-bit elements, the lower k in the lower half.
// mma_f16 needs sm_75, the others sm_80. On older devices they trap, so launchers must not use them there.
//
// mma_fragments() is the product of M fragments of A, 16 x 16, and N of B, 16 x 8: d[i][j] += a[i] b[j], by m16n8k16.
// Fragments of float are 16 x 8 and 8 x 8, rounded by to_tf32(), by m16n8k8. Two fragments of B are in four registers,
// as ldmatrix loads them. It exists because the emulation runs it at once.
#pragma once
#include <bit>
#include <cstdint>
#include <type_traits>

#include "kernels/cuda/simt.h"

#if !defined(__CUDACC__)
#  include "kernels/emu/async_copy.h"
#  include "kernels/emu/matrix.h"
#  define PTX_WHERE , simt::Where where = simt::Where::current()
#endif

namespace mpanet::PRECISION::KERNEL_NS {

#if defined(__CUDACC__)

// The 32-bit shared-memory address for PTX.
__device__ inline uint32_t shared_address(const void* address) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(address));
}

#  if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800

// Copies 16 bytes, bypassing the L1 cache. The first `valid` bytes are read, the rest are zero.
__device__ inline void cp_async_16(void* to, const void* from, int valid = 16) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(valid)
               : "memory");
}
__device__ inline void cp_async_16_if(bool condition, void* to, const void* from, int valid = 16) {
  cp_async_16(to, from, condition ? valid : 0);
}
// Copies 4, 8 or 16 bytes.
template <int Bytes>
__device__ inline void cp_async(void* to, const void* from, int valid = Bytes) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(to)), "l"(from), "n"(Bytes),
               "r"(valid)
               : "memory");
}
__device__ inline void cp_async_4_if(bool condition, void* to, const void* from) {
  cp_async<4>(to, from, condition ? 4 : 0);
}
__device__ inline void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int Newest>
__device__ inline void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Newest) : "memory");
}
__device__ inline void cp_async_wait_all() { asm volatile("cp.async.wait_all;" ::: "memory"); }

__device__ inline void mma_bf16_k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ inline void mma_bf16_k8(float (&d)[4], const uint32_t (&a)[2], const uint32_t (&b)[1]) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(b[0]));
}
__device__ inline void mma_f16_k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ inline void mma_tf32_k8(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ inline void mma_f64(double (&d)[2], double a, double b) {
  asm volatile("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0,%1}, {%2}, {%3}, {%0,%1};"
               : "+d"(d[0]), "+d"(d[1])
               : "d"(a), "d"(b));
}
// Rounds a float to tf32's ten fraction bits, to nearest, ties away from zero.
__device__ inline uint32_t to_tf32(float value) {
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits;
}

#  else

template <int Bytes>
__device__ inline void cp_async(void* to, const void* from, int valid = Bytes) {
  using Word = unsigned;
  for (int i = 0; i < Bytes / static_cast<int>(sizeof(Word)); i++) {
    Word word = 0;
    for (int byte = 0; byte < static_cast<int>(sizeof(Word)); byte++) {
      const int at = i * static_cast<int>(sizeof(Word)) + byte;
      if (at < valid) word |= Word{static_cast<const unsigned char*>(from)[at]} << 8 * byte;
    }
    static_cast<Word*>(to)[i] = word;
  }
}
__device__ inline void cp_async_16(void* to, const void* from, int valid = 16) {
  if (valid == 16)
    *static_cast<uint4*>(to) = *static_cast<const uint4*>(from);
  else
    cp_async<16>(to, from, valid);
}
__device__ inline void cp_async_16_if(bool condition, void* to, const void* from, int valid = 16) {
  if (valid < 16) return cp_async_16(to, from, condition ? valid : 0);
  uint4 value = {};
  if (condition) value = *static_cast<const uint4*>(from);
  *static_cast<uint4*>(to) = value;
}
__device__ inline void cp_async_4_if(bool condition, void* to, const void* from) {
  *static_cast<unsigned*>(to) = condition ? *static_cast<const unsigned*>(from) : 0u;
}
__device__ inline void cp_async_commit() {}
template <int Newest>
__device__ inline void cp_async_wait() {}
__device__ inline void cp_async_wait_all() {}

__device__ inline void mma_bf16_k16(float (&)[4], const uint32_t (&)[4], const uint32_t (&)[2]) { __trap(); }
__device__ inline void mma_bf16_k8(float (&)[4], const uint32_t (&)[2], const uint32_t (&)[1]) { __trap(); }
__device__ inline void mma_tf32_k8(float (&)[4], const uint32_t (&)[4], const uint32_t (&)[2]) { __trap(); }
__device__ inline void mma_f64(double (&)[2], double, double) { __trap(); }
__device__ inline uint32_t to_tf32(float) {
  __trap();
  return 0;
}

#  endif

__device__ inline void ldmatrix(uint32_t (&to)[1], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];"
               : "=r"(to[0])
               : "r"(shared_address(row))
               : "memory");
}
__device__ inline void ldmatrix(uint32_t (&to)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
               : "=r"(to[0]), "=r"(to[1])
               : "r"(shared_address(row))
               : "memory");
}
__device__ inline void ldmatrix(uint32_t (&to)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ inline void ldmatrix_trans(uint32_t (&to)[1], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];"
               : "=r"(to[0])
               : "r"(shared_address(row))
               : "memory");
}
__device__ inline void ldmatrix_trans(uint32_t (&to)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
               : "=r"(to[0]), "=r"(to[1])
               : "r"(shared_address(row))
               : "memory");
}
__device__ inline void ldmatrix_trans(uint32_t (&to)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ inline void mma_f16_k8(float (&d)[4], const uint32_t (&a)[2], const uint32_t (&b)[1]) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(b[0]));
}
#  if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
__device__ inline void mma_f16_k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  mma_f16_k8(d, {a[0], a[1]}, {b[0]});
  mma_f16_k8(d, {a[2], a[3]}, {b[1]});
}
#  endif

template <class Element, int M, int N>
__device__ inline void mma_fragments(float (&d)[M][N][4], const uint32_t (&a)[M][4], const uint32_t (&b)[N / 2][4]) {
#  pragma unroll
  for (int i = 0; i < M; i++) {
#  pragma unroll
    for (int j = 0; j < N; j++) {
      const uint32_t column[2] = {b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]};
      if constexpr (std::is_same_v<Element, bfloat16>)
        mma_bf16_k16(d[i][j], a[i], column);
      else if constexpr (std::is_same_v<Element, float16>)
        mma_f16_k16(d[i][j], a[i], column);
      else if constexpr (std::is_same_v<Element, float>)
        mma_tf32_k8(d[i][j], a[i], column);
    }
  }
}

#else

inline void cp_async_16(void* to, const void* from, int valid = 16 PTX_WHERE) {
  simt::async_copy(to, from, 16, valid, where);
}
inline void cp_async_16_if(bool condition, void* to, const void* from, int valid = 16 PTX_WHERE) {
  simt::async_copy(to, condition ? from : to, 16, condition ? valid : 0, where);
}
inline void cp_async_4_if(bool condition, void* to, const void* from PTX_WHERE) {
  simt::async_copy(to, condition ? from : to, 4, condition ? 4 : 0, where);
}
template <int Bytes>
void cp_async(void* to, const void* from, int valid = Bytes PTX_WHERE) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16);
  simt::async_copy(to, from, Bytes, valid, where);
}
inline void cp_async_commit() { simt::async_commit(); }
template <int Newest>
void cp_async_wait() {
  simt::async_wait(Newest);
}
inline void cp_async_wait_all() { simt::async_wait_all(); }

template <int N>
void ldmatrix(uint32_t (&to)[N], const void* row PTX_WHERE) {
  static_assert(N == 1 || N == 2 || N == 4);
  simt::load_matrices(to, row, N, false, where);
}
template <int N>
void ldmatrix_trans(uint32_t (&to)[N], const void* row PTX_WHERE) {
  static_assert(N == 1 || N == 2 || N == 4);
  simt::load_matrices(to, row, N, true, where);
}

inline void mma_bf16_k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2] PTX_WHERE) {
  simt::multiply(simt::Operand::BFloat16, 16, d, a, b, where);
}
inline void mma_bf16_k8(float (&d)[4], const uint32_t (&a)[2], const uint32_t (&b)[1] PTX_WHERE) {
  simt::multiply(simt::Operand::BFloat16, 8, d, a, b, where);
}
inline void mma_f16_k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2] PTX_WHERE) {
  simt::multiply(simt::Operand::Float16, 16, d, a, b, where);
}
inline void mma_f16_k8(float (&d)[4], const uint32_t (&a)[2], const uint32_t (&b)[1] PTX_WHERE) {
  simt::multiply(simt::Operand::Float16, 8, d, a, b, where);
}
inline void mma_tf32_k8(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2] PTX_WHERE) {
  simt::multiply(simt::Operand::Tf32, 8, d, a, b, where);
}
inline void mma_f64(double (&d)[2], double a, double b PTX_WHERE) { simt::multiply(d, a, b, where); }
template <class Element, int M, int N>
void mma_fragments(float (&d)[M][N][4], const uint32_t (&a)[M][4], const uint32_t (&b)[N / 2][4] PTX_WHERE) {
  static_assert(std::is_same_v<Element, bfloat16> || std::is_same_v<Element, float16> ||
                std::is_same_v<Element, float>);
  constexpr auto kType = std::is_same_v<Element, bfloat16>  ? simt::Operand::BFloat16
                         : std::is_same_v<Element, float16> ? simt::Operand::Float16
                                                            : simt::Operand::Tf32;
  simt::multiply(kType, M, N, d[0][0], a[0], b[0], where);
}

// Infinities and NaNs are unchanged.
inline uint32_t to_tf32(float value) {
  constexpr uint32_t kLost = 0x1fff, kHalf = 0x1000, kInfinity = 0x7f800000;
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & kInfinity) == kInfinity) return bits;
  return (bits + kHalf) & ~kLost;
}

#endif

}  // namespace mpanet::PRECISION::KERNEL_NS

#undef PTX_WHERE
