// The choice between the implementations of convolution, by shape and pass. In f32 filters larger than one pixel are
// faster over packed panels than in oneDNN on every instruction set that was measured; 1x1 filters, the stem and few
// channels are not. The 16-bit precisions have no oneDNN.
#include "kernels/cpu/conv_providers.h"

namespace mpanet::PRECISION::cpu {

#ifdef MPANET_HAS_ONEDNN
namespace {

bool uses_panels(const ConvShape& s, ConvPass pass) {
  const auto enough = [](int channels) { return channels % 16 == 0 && channels >= 64; };
  if (s.kh * s.kw == 1) return false;
  if (pass == ConvPass::BackwardWeights) return enough(s.c) && enough(s.k);
  return enough(pass == ConvPass::Forward ? s.c : s.k);
}

}  // namespace

#  define CHOSEN(shape, pass, call) (uses_panels(shape, pass) ? panels::call : library::call)
#else
#  define CHOSEN(shape, pass, call) panels::call
#endif

size_t conv_weights_bytes(Stream stream, const ConvShape& s, ConvPass pass) {
  if (pass == ConvPass::BackwardWeights) return 0;
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
  CHOSEN(s, ConvPass::BackwardWeights, conv_backward_weights(stream, s, x, dy, dw, write, workspace));
}

#undef CHOSEN

}  // namespace mpanet::PRECISION::cpu
