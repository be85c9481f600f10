// Calls of NVIDIA's libraries, for the launchers of convolution and matrix product. Each function returns whether the
// library did the work; if not, the launcher runs our kernel. They return false in a build without the library and
// under the emulation.
#pragma once
#include "core/base/real.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::vendor {

#if defined(MPANET_HAS_CUDNN)
// Chooses the library or our kernel for this shape and pass. Returns the bytes of workspace; `native` are our kernel's.
size_t conv_workspace_bytes(Stream stream, const ConvShape& shape, ConvPass pass, size_t native);
// Whether our kernel computes this shape and pass.
bool conv_is_native(Stream stream, const ConvShape& shape, ConvPass pass);
bool conv_forward(Stream stream, const ConvShape& shape, const storage* x, const storage* w,
                  const ConvEpilogue& epilogue, storage* y, void* workspace);
bool conv_backward_data(Stream stream, const ConvShape& shape, const storage* dy, const storage* w, storage* dx,
                        Write write, void* workspace);
bool conv_backward_weights(Stream stream, const ConvShape& shape, const storage* x, const storage* dy, real* dw,
                           Write write, void* workspace);
#else
inline size_t conv_workspace_bytes(Stream, const ConvShape&, ConvPass, size_t native) { return native; }
inline bool conv_is_native(Stream, const ConvShape&, ConvPass) { return true; }
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
// The same for a product. Every stride is given.
size_t gemm_workspace_bytes(Stream stream, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                            const GemmStrides& strides, size_t native);
bool gemm(Stream stream, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const real* a,
          const real* b, const real* bias, real* c, Write write, void* workspace, const GemmStrides& strides);
#else
inline size_t gemm_workspace_bytes(Stream, bool, bool, int64_t, int64_t, int64_t, const GemmStrides&, size_t native) {
  return native;
}
inline bool gemm(Stream, bool, bool, int64_t, int64_t, int64_t, const real*, const real*, const real*, real*, Write,
                 void*, const GemmStrides&) {
  return false;
}
#endif

}  // namespace mpanet::PRECISION::vendor
