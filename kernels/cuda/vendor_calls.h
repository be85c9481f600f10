// Where a vendor's library may take over from a kernel of ours, in the launchers of convolution and matrix product:
// each call says whether the library did the work. In a build without the library, and under the emulation, it never
// does.
#pragma once
#include "core/base/real.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::vendor {

#if defined(MPANET_HAS_CUDNN)
// Decides who does this shape and pass. Bytes of workspace that are enough for either, `native` being our kernels'.
size_t conv_workspace_bytes(Stream stream, const ConvShape& shape, ConvPass pass, size_t native);
bool conv_forward(Stream stream, const ConvShape& shape, const storage* x, const storage* w,
                  const ConvEpilogue& epilogue, storage* y, void* workspace);
bool conv_backward_data(Stream stream, const ConvShape& shape, const storage* dy, const storage* w, storage* dx,
                        Write write, void* workspace);
bool conv_backward_weights(Stream stream, const ConvShape& shape, const storage* x, const storage* dy, real* dw,
                           Write write, void* workspace);
#else
inline size_t conv_workspace_bytes(Stream, const ConvShape&, ConvPass, size_t native) { return native; }
inline bool conv_forward(Stream, const ConvShape&, const storage*, const storage*, const ConvEpilogue&, storage*,
                         void*) {
  return false;
}
inline bool conv_backward_data(Stream, const ConvShape&, const storage*, const storage*, storage*, Write, void*) {
  return false;
}
inline bool conv_backward_weights(Stream, const ConvShape&, const storage*, const storage*, real*, Write, void*) {
  return false;
}
#endif

#if defined(MPANET_HAS_CUBLAS)
size_t gemm_workspace_bytes(Stream stream, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                            size_t native);
bool gemm(Stream stream, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const real* a,
          const real* b, const real* bias, real* c, Write write, void* workspace);
#else
inline size_t gemm_workspace_bytes(Stream, bool, bool, int64_t, int64_t, int64_t, size_t native) { return native; }
inline bool gemm(Stream, bool, bool, int64_t, int64_t, int64_t, const real*, const real*, const real*, real*, Write,
                 void*) {
  return false;
}
#endif

}  // namespace mpanet::PRECISION::vendor
