// Several products of equal sizes: gemm() for each of them, one after the other.
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {

size_t gemm_batch_workspace_bytes(Stream stream, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                                  int, const GemmStrides& strides) {
  return gemm_workspace_bytes(stream, transpose_a, transpose_b, m, n, k, strides);
}

void gemm_batch(Stream stream, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                const GemmOperands* list, int length, void* workspace, const GemmStrides& strides) {
  for (int i = 0; i < length; i++)
    gemm(stream, transpose_a, transpose_b, m, n, k, list[i].a, list[i].b, nullptr, list[i].c, list[i].write, workspace,
         strides);
}

}  // namespace mpanet::PRECISION::cpu
