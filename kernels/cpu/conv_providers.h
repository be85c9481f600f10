// The implementations of convolution, with the functions of kernels.inc: conv_choice.cpp calls one of them.
#pragma once
#include <string_view>

#include "core/base/error.h"
#include "kernels/cpu/stream.h"
#include "kernels/kernels.h"

#define MPANET_CPU_TEXT_(x) #x
#define MPANET_CPU_TEXT(x) MPANET_CPU_TEXT_(x)

namespace mpanet::PRECISION::cpu {

// UserError, one line, if --conv onednn is set in a build or a precision without oneDNN. The queries of workspaces call
// it, so the error comes when memory is planned.
inline void check_library(Stream stream) {
#ifdef MPANET_HAS_ONEDNN
  static_cast<void>(stream);
#else
  if (stream == nullptr || stream->vendors.cpu_convolution != Provider::Vendor) return;
  constexpr std::string_view kPrecision = MPANET_CPU_TEXT(PRECISION);
  if (kPrecision == "f32") fail("--conv onednn: this build has no oneDNN (MPANET_ONEDNN)");
  fail("--conv onednn: oneDNN computes f32 and tf32 here, got {}; choose native or auto", kPrecision);
#endif
}

// Products of packed panels, in every precision but f64: panel_conv.cpp, panel_gradient.cpp, panel_weights.cpp.
namespace panels {
size_t conv_weights_bytes(Stream, const ConvShape&, ConvPass);
void conv_prepare_weights(Stream, const ConvShape&, ConvPass, const storage* w, const real* scale, void* prepared);
size_t conv_workspace_bytes(Stream, const ConvShape&, ConvPass);
void conv_forward(Stream, const ConvShape&, const storage* x, const storage* w, const void* prepared,
                  const ConvEpilogue&, storage* y, void* workspace);
void conv_backward_data(Stream, const ConvShape&, const storage* dy, const storage* w, const void* prepared,
                        storage* dx, Write, void* workspace, const GradEpilogue&);
void conv_backward_weights(Stream, const ConvShape&, const storage* x, const storage* dy, real* dw, Write,
                           void* workspace);
size_t conv_backward_weights_bytes(Stream, const ConvShape&);  // of the workspace; conv_workspace_bytes() calls it
}  // namespace panels

// oneDNN, in f32: onednn_conv.cpp.
namespace library {
size_t conv_weights_bytes(Stream, const ConvShape&, ConvPass);
void conv_prepare_weights(Stream, const ConvShape&, ConvPass, const storage* w, const real* scale, void* prepared);
size_t conv_workspace_bytes(Stream, const ConvShape&, ConvPass);
void conv_forward(Stream, const ConvShape&, const storage* x, const storage* w, const void* prepared,
                  const ConvEpilogue&, storage* y, void* workspace);
void conv_backward_data(Stream, const ConvShape&, const storage* dy, const storage* w, const void* prepared,
                        storage* dx, Write, void* workspace, const GradEpilogue&);
void conv_backward_weights(Stream, const ConvShape&, const storage* x, const storage* dy, real* dw, Write,
                           void* workspace);
}  // namespace library

}  // namespace mpanet::PRECISION::cpu
