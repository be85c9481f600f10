// Helpers for the tests of convolution: its definition, and one convolution on a device.
#pragma once
#include <fmt/format.h>

#include "tests/support/kernel_test.h"
#include "tests/support/tf32.h"

namespace mpanet::PRECISION {

// Calls body(context, tf32) on each device; if has_tf32 also on a stream that uses TF32.
template <class Body>
void on_each_stream(const Body& body, bool has_tf32 = kTf32Convolutions) {
  for (const bool tf32 : {false, true}) {
    if (tf32 && !has_tf32) continue;
    on_each_device([&](Context& context) {
      CAPTURE(tf32);
      context.stream_handle()->set_tf32(tf32);
      body(context, tf32);
    });
  }
}

inline std::string name(const ConvShape& s) {
  return fmt::format("{}x{}x{}x{} * {}x{}x{} stride {} pad {}", s.n, s.h, s.w, s.c, s.k, s.kh, s.kw, s.stride, s.pad);
}

// Calls body(index in y, index in x, index in w) for every product in the definition of the convolution.
template <class Body>
void each_product(const ConvShape& s, const Body& body) {
  for (int n = 0; n < s.n; n++)
    for (int oy = 0; oy < s.oh(); oy++)
      for (int ox = 0; ox < s.ow(); ox++)
        for (int i = 0; i < s.kh; i++)
          for (int j = 0; j < s.kw; j++) {
            const int y = oy * s.stride + i - s.pad, x = ox * s.stride + j - s.pad;
            if (y < 0 || y >= s.h || x < 0 || x >= s.w) continue;
            for (int k = 0; k < s.k; k++)
              for (int c = 0; c < s.c; c++)
                body(static_cast<size_t>(((int64_t{n} * s.oh() + oy) * s.ow() + ox) * s.k + k),
                     static_cast<size_t>(((int64_t{n} * s.h + y) * s.w + x) * s.c + c),
                     static_cast<size_t>(((int64_t{k} * s.kh + i) * s.kw + j) * s.c + c));
          }
}

// One convolution on one device, with prepared weights and workspaces. shift: of the weights, see Array.
struct Convolution {
  Convolution(Context& device, const ConvShape& shape, const std::vector<real>& weights, size_t shift = 0)
      : context(device), s(shape), w(device, weights, shift) {}

  int64_t prepared_bytes(ConvPass pass) {
    return static_cast<int64_t>(ASK_BACKEND(context, conv_weights_bytes(context.stream(), s, pass)));
  }
  int64_t work_bytes(ConvPass pass) {
    return static_cast<int64_t>(ASK_BACKEND(context, conv_workspace_bytes(context.stream(), s, pass)));
  }
  void* prepare(ConvPass pass, const Bytes& to, const real* scale) {
    if (to.count() == 0) return nullptr;
    RUN_ON(context, conv_prepare_weights(context.stream(), s, pass, w.data(), scale, to.data()));
    return to.data();
  }
  void forward(const Stored& x, const ConvEpilogue& epilogue, storage* y) {
    const Bytes prepared(context, prepared_bytes(ConvPass::Forward)), work(context, work_bytes(ConvPass::Forward));
    void* const ready = prepare(ConvPass::Forward, prepared, epilogue.scale);
    RUN_ON(context, conv_forward(context.stream(), s, x.data(), w.data(), ready, epilogue, y, work.data()));
  }
  EpilogueSums sums(ConvPass pass) { return ASK_BACKEND(context, conv_epilogue_sums(context.stream(), s, pass)); }
  void backward_data(const Stored& dy, storage* dx, Write write, const GradEpilogue& epilogue = {}) {
    const Bytes prepared(context, prepared_bytes(ConvPass::BackwardData));
    const Bytes work(context, work_bytes(ConvPass::BackwardData));
    void* const ready = prepare(ConvPass::BackwardData, prepared, nullptr);
    RUN_ON(context,
           conv_backward_data(context.stream(), s, dy.data(), w.data(), ready, dx, write, work.data(), epilogue));
  }
  void backward_weights(const Stored& x, const Stored& dy, real* dw, Write write) {
    const Bytes work(context, work_bytes(ConvPass::BackwardWeights));
    RUN_ON(context, conv_backward_weights(context.stream(), s, x.data(), dy.data(), dw, write, work.data()));
  }
  // The same with the splits added by a kernel of its own. False: they are not to be had.
  bool backward_weights_later(const Stored& x, const Stored& dy, real* dw) {
    const int splits = ASK_BACKEND(context, conv_weight_splits(context.stream(), s));
    if (splits == 0) return false;
    const Bytes work(context, work_bytes(ConvPass::BackwardWeights));
    RUN_ON(context, conv_backward_weight_splits(context.stream(), s, x.data(), dy.data(), work.data()));
    const SplitSums sums{reinterpret_cast<const real*>(work.data()), splits, dw, s.weight_count()};
    RUN_ON(context, add_split_sums(context.stream(), &sums, 1));
    return true;
  }

  Context& context;
  ConvShape s;
  Stored w;
};

}  // namespace mpanet::PRECISION
