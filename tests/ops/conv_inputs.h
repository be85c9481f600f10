// Common parts of the cases with convolutions.
#pragma once
#include <fmt/format.h>

#include <string>

#include "layers/batch_norm.h"
#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {

// Filters 1x1, 3x3, 7x7; sizes of 1, primes and remainders; windows wider than the picture; strides that skip rows.
inline const ConvShape kOddConvolutions[] = {
    {.n = 1, .h = 1, .w = 1, .c = 1, .k = 1, .kh = 1, .kw = 1},
    {.n = 2, .h = 3, .w = 5, .c = 7, .k = 5, .kh = 1, .kw = 1},
    {.n = 3, .h = 5, .w = 4, .c = 17, .k = 13, .kh = 1, .kw = 1},
    {.n = 2, .h = 5, .w = 4, .c = 6, .k = 3, .kh = 1, .kw = 1, .stride = 2, .pad = 0},
    {.n = 2, .h = 7, .w = 5, .c = 3, .k = 5, .kh = 3, .kw = 3, .stride = 1, .pad = 1},
    {.n = 1, .h = 2, .w = 1, .c = 3, .k = 3, .kh = 3, .kw = 3, .stride = 1, .pad = 1},
    {.n = 3, .h = 8, .w = 7, .c = 2, .k = 11, .kh = 3, .kw = 3, .stride = 2, .pad = 1},
    {.n = 1, .h = 11, .w = 10, .c = 3, .k = 2, .kh = 3, .kw = 3, .stride = 3, .pad = 0},
    {.n = 2, .h = 11, .w = 9, .c = 3, .k = 4, .kh = 7, .kw = 7, .stride = 2, .pad = 3},
    {.n = 1, .h = 5, .w = 3, .c = 1, .k = 2, .kh = 7, .kw = 7, .stride = 2, .pad = 3},
};

// Widths of the network.
inline const ConvShape kWideConvolution{
    .n = 1, .h = 5, .w = 3, .c = 64, .k = 64, .kh = 3, .kw = 3, .stride = 1, .pad = 1},
    kDeepConvolution{.n = 1, .h = 2, .w = 2, .c = 2048, .k = 32, .kh = 1, .kw = 1},
    kBroadConvolution{.n = 1, .h = 3, .w = 2, .c = 32, .k = 256, .kh = 1, .kw = 1};

// The stem of a ResNet and of the tiny network, whose pictures need no gradient: in 16 bits it has kernels of its own.
// The first has three tiles of 128 outputs that share rows and pictures, the second a part of one tile.
inline const ConvShape kStem{.n = 3, .h = 22, .w = 19, .c = 3, .k = 64, .kh = 7, .kw = 7, .stride = 2, .pad = 3},
    kTinyStem{.n = 2, .h = 13, .w = 11, .c = 3, .k = 16, .kh = 7, .kw = 7, .stride = 2, .pad = 3};

inline std::string name(const ConvShape& s) {
  return fmt::format("{}x{}x{}x{} {}x{} to {} stride {} pad {}", s.n, s.h, s.w, s.c, s.kh, s.kw, s.k, s.stride, s.pad);
}

inline const char* name(Mode mode) { return mode == Mode::Train ? "train" : "eval"; }

inline Conv& make_conv(Inputs& in, const char* name, const ConvShape& s, bool bias = false) {
  return in.keep<Conv>(in.store(), name, s.c, s.k, s.kh, s.stride, s.pad, bias);
}

// Bytes of x, y, w and dw.
struct ConvBytes {
  explicit ConvBytes(const ConvShape& s)
      : x(kStorageBytes * static_cast<double>(s.input_count())),
        y(kStorageBytes * static_cast<double>(s.output_count())),
        w(kStorageBytes * static_cast<double>(s.weight_count())),
        dw(kRealBytes * static_cast<double>(s.weight_count())) {}
  double x, y, w, dw;
};

inline OpCost conv_forward_cost(const ConvShape& s) {
  const ConvBytes b(s);
  return {b.x + b.w + b.y, s.flops(), {{s, ConvPass::Forward}}};
}

inline OpCost conv_backward_cost(const ConvShape& s, bool input_gradient) {
  const ConvBytes b(s);
  if (!input_gradient) return {b.x + b.y + b.dw, s.flops(), {{s, ConvPass::BackwardWeights}}};
  return {2 * b.x + b.y + b.w + b.dw, 2 * s.flops(), {{s, ConvPass::BackwardWeights}, {s, ConvPass::BackwardData}}};
}

}  // namespace mpanet::PRECISION
