// The choice between the implementations of convolution, by shape and pass. In f32, on every instruction set that was
// measured, packed panels are faster than oneDNN for filters larger than one pixel, and slower for 1x1 filters, the
// stem and few channels. The exception are gradients of 1x1 weights of a middle size: without AVX-512 oneDNN's product
// takes up to twice the time of packed panels. The 16-bit precisions have no oneDNN.
#include <fmt/format.h>

#include <map>
#include <utility>

#include "core/base/error.h"
#include "kernels/cpu/conv_providers.h"
#include "kernels/cpu/panel_kernels.h"
#include "kernels/cpu/stream.h"
#include "kernels/memory.h"

namespace mpanet::PRECISION::cpu {

#ifdef MPANET_HAS_ONEDNN
namespace {

constexpr const char* kOneDnn = "onednn";
constexpr const char* kNative = "native";

std::string in_words(Stream stream, const ConvShape& s, ConvPass pass) {
  const char* name = pass == ConvPass::Forward        ? "forward"
                     : pass == ConvPass::BackwardData ? "backward data"
                                                      : "backward weights";
  return fmt::format("cpu conv {} {} {}x{}x{}x{} -> {}, {}x{}, stride {}, pad {}",
                     mpanet::cpu::uses_tf32(stream) ? "tf32" : "f32", name, s.n, s.h, s.w, s.c, s.k, s.kh, s.kw,
                     s.stride, s.pad);
}

bool panels_are_faster(const ConvShape& s, ConvPass pass) {
  const auto enough = [](int channels) { return channels % 16 == 0 && channels >= 64; };
  if (pass != ConvPass::BackwardWeights) return s.kh * s.kw > 1 && enough(pass == ConvPass::Forward ? s.c : s.k);
  if (!enough(s.c) || !enough(s.k)) return false;
  if (s.kh * s.kw > 1) return true;
  const int64_t weights = s.weight_count();
  const bool middle = weights >= (int64_t{1} << 16) && (weights < (int64_t{1} << 19) || s.stride > 1);
  const bool has_avx512 = mpanet::cpu::panel_kernels().columns == 32;
  return middle && !has_avx512;
}

using Known = std::map<std::pair<ConvShape, ConvPass>, bool>;

bool uses_panels(Stream stream, const ConvShape& s, ConvPass pass) {
  static const char tag = 0;
  const auto [entry, added] = stream->get<Known>(&tag).try_emplace({s, pass});
  if (!added) return entry->second;
  Vendors& vendors = stream->vendors;
  std::string& choice = vendors.choices[in_words(stream, s, pass)];
  if (vendors.cpu_convolution != Provider::Auto)
    choice = vendors.cpu_convolution == Provider::Native ? kNative : kOneDnn;
  else if (choice != kNative && choice != kOneDnn)
    choice = panels_are_faster(s, pass) ? kNative : kOneDnn;
  return entry->second = choice == kNative;
}

}  // namespace

#  define CHOSEN(stream, shape, pass, call) (uses_panels(stream, shape, pass) ? panels::call : library::call)
#else
#  define CHOSEN(stream, shape, pass, call) panels::call
#endif

size_t conv_weights_bytes(Stream stream, const ConvShape& s, ConvPass pass) {
  if (pass == ConvPass::BackwardWeights) return 0;
  return CHOSEN(stream, s, pass, conv_weights_bytes(stream, s, pass));
}

void conv_prepare_weights(Stream stream, const ConvShape& s, ConvPass pass, const storage* w, const real* scale,
                          void* prepared) {
  CHOSEN(stream, s, pass, conv_prepare_weights(stream, s, pass, w, scale, prepared));
}

size_t conv_workspace_bytes(Stream stream, const ConvShape& s, ConvPass pass) {
  check_library(stream);
  return CHOSEN(stream, s, pass, conv_workspace_bytes(stream, s, pass));
}

void conv_forward(Stream stream, const ConvShape& s, const storage* x, const storage* w, const void* prepared,
                  const ConvEpilogue& epilogue, storage* y, void* workspace) {
  CHOSEN(stream, s, ConvPass::Forward, conv_forward(stream, s, x, w, prepared, epilogue, y, workspace));
}

void conv_backward_data(Stream stream, const ConvShape& s, const storage* dy, const storage* w, const void* prepared,
                        storage* dx, Write write, void* workspace, const GradEpilogue& epilogue) {
  CHOSEN(stream, s, ConvPass::BackwardData,
         conv_backward_data(stream, s, dy, w, prepared, dx, write, workspace, epilogue));
}

void conv_backward_weights(Stream stream, const ConvShape& s, const storage* x, const storage* dy, real* dw,
                           Write write, void* workspace) {
  CHOSEN(stream, s, ConvPass::BackwardWeights, conv_backward_weights(stream, s, x, dy, dw, write, workspace));
}

#undef CHOSEN

}  // namespace mpanet::PRECISION::cpu
