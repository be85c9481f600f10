// The implementations of convolution, with the functions of kernels.inc: conv_choice.cpp calls one of them.
#pragma once
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {

// Products of packed panels, but in f64: panel_conv.cpp, panel_gradient.cpp.
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
