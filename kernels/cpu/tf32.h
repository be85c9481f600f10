// Operands of a product on a stream that uses TF32: rounded copies in the product's workspace.
#pragma once
#include "kernels/kernels.h"
#include "kernels/memory.h"

namespace mpanet::PRECISION::cpu {

// Bytes of the copies of operands with these numbers of elements; 0 unless the stream's products are in TF32.
inline size_t rounded_operand_bytes(Stream stream, int64_t a, int64_t b) {
  return kHasTf32 && mpanet::cpu::uses_tf32(stream) ? static_cast<size_t>(a + b) * sizeof(real) : 0;
}

// Makes the copies, if there are any, and lets a and b point to them. A template, because T may be double.
template <class T>
void round_operands(Stream stream, const T*& a, int64_t a_count, const T*& b, int64_t b_count, void* workspace) {
  if constexpr (kHasTf32) {
    if (rounded_operand_bytes(stream, a_count, b_count) == 0) return;
    T* const copies = static_cast<T*>(workspace);
    round_to_tf32(stream, a, copies, a_count);
    round_to_tf32(stream, b, copies + a_count, b_count);
    a = copies;
    b = copies + a_count;
  }
}

}  // namespace mpanet::PRECISION::cpu
