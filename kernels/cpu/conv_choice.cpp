// The choice between our convolution and oneDNN's, by shape and pass. Filters larger than one pixel are faster here on
// every instruction set that was measured (docs/performance.md), 1x1 filters and the stem are not.
#include "kernels/cpu/conv_providers.h"

namespace mpanet::PRECISION::cpu {
#ifdef MPANET_HAS_HIGHWAY
namespace {

bool uses_panels(const ConvShape& s, ConvPass pass) {
  const int channels = pass == ConvPass::Forward ? s.c : s.k;
  return pass != ConvPass::BackwardWeights && s.kh * s.kw > 1 && channels % 16 == 0;
}

}  // namespace

#  define CHOSEN(shape, pass, call) (uses_panels(shape, pass) ? panels::call : library::call)
#else
#  define CHOSEN(shape, pass, call) (library::call)
#endif

size_t conv_weights_bytes(Stream stream, const ConvShape& s, ConvPass pass) {
  return CHOSEN(s, pass, conv_weights_bytes(stream, s, pass));
}

void conv_prepare_weights(Stream stream, const ConvShape& s, ConvPass pass, const storage* w, const real* scale,
                          void* prepared) {
  CHOSEN(s, pass, conv_prepare_weights(stream, s, pass, w, scale, prepared));
}

size_t conv_workspace_bytes(Stream stream, const ConvShape& s, ConvPass pass) {
  return CHOSEN(s, pass, conv_workspace_bytes(stream, s, pass));
}

void conv_forward(Stream stream, const ConvShape& s, const storage* x, const storage* w, const void* prepared,
                  const ConvEpilogue& epilogue, storage* y, void* workspace) {
  CHOSEN(s, ConvPass::Forward, conv_forward(stream, s, x, w, prepared, epilogue, y, workspace));
}

void conv_backward_data(Stream stream, const ConvShape& s, const storage* dy, const storage* w, const void* prepared,
                        storage* dx, Write write, void* workspace, const GradEpilogue& epilogue) {
  CHOSEN(s, ConvPass::BackwardData, conv_backward_data(stream, s, dy, w, prepared, dx, write, workspace, epilogue));
}

void conv_backward_weights(Stream stream, const ConvShape& s, const storage* x, const storage* dy, real* dw,
                           Write write, void* workspace) {
  library::conv_backward_weights(stream, s, x, dy, dw, write, workspace);
}

#undef CHOSEN

}  // namespace mpanet::PRECISION::cpu
