// Convolutions and matrix products, and the sums over rows that go with them.
#include "bench/kernel_table.h"
#include "bench/onednn_yardstick.h"

namespace mpanet::PRECISION {
namespace {

struct Weights {
  const storage* plain;
  const void* prepared;  // null where the backend reads the plain ones
};

// A backend's copy of the weights is made before the time is taken: a step makes it once, not once per call.
Weights weights_of(const Inputs& in, const ConvShape& s, ConvPass pass) {
  const storage* w = in.values<storage>(s.weight_count());
  void* prepared = in.workspace(ASK(conv_weights_bytes(in.context().stream(), s, pass)));
  if (prepared != nullptr)
    ON_BACKEND(in.context().backend(), conv_prepare_weights(in.context().stream(), s, pass, w, nullptr, prepared));
  return {w, prepared};
}

void* workspace_of(const Inputs& in, const ConvShape& s, ConvPass pass) {
  return in.workspace(ASK(conv_workspace_bytes(in.context().stream(), s, pass)));
}

std::function<Call(Memory&)> vendor(const ConvShape& s, ConvPass pass) {
  if constexpr (std::is_same_v<storage, float>) return onednn_convolution(s, pass);
  return {};
}

void add_convolution(Table& table, const ConvShape& s) {
  const auto x = static_cast<double>(s.input_count()), y = static_cast<double>(s.output_count()),
             w = static_cast<double>(s.weight_count());
  const double bytes = kStorage * (x + y + w);
  table.add_product(
      "conv_forward", describe(s), bytes, s.flops(), true,
      [=](const Inputs& in) -> Call {
        const Weights w = weights_of(in, s, ConvPass::Forward);
        const storage* x = in.values<storage>(s.input_count());
        storage* y = in.space<storage>(s.output_count());
        void* workspace = workspace_of(in, s, ConvPass::Forward);
        return CALL(conv_forward(stream, s, x, w.plain, w.prepared, ConvEpilogue{}, y, workspace));
      },
      vendor(s, ConvPass::Forward));
  if (s.c > 3)  // pictures need no gradient
    table.add_product(
        "conv_backward_data", describe(s), bytes, s.flops(), true,
        [=](const Inputs& in) -> Call {
          const Weights w = weights_of(in, s, ConvPass::BackwardData);
          const storage* dy = in.values<storage>(s.output_count());
          storage* dx = in.space<storage>(s.input_count());
          void* workspace = workspace_of(in, s, ConvPass::BackwardData);
          return CALL(conv_backward_data(stream, s, dy, w.plain, w.prepared, dx, Write::Set, workspace));
        },
        vendor(s, ConvPass::BackwardData));
  table.add_product(
      "conv_backward_weights", describe(s), kStorage * (x + y) + kReal * w, s.flops(), true,
      [=](const Inputs& in) -> Call {
        const storage* x = in.values<storage>(s.input_count());
        const storage* dy = in.values<storage>(s.output_count());
        real* dw = in.space<real>(s.weight_count());
        void* workspace = workspace_of(in, s, ConvPass::BackwardWeights);
        return CALL(conv_backward_weights(stream, s, x, dy, dw, Write::Set, workspace));
      },
      vendor(s, ConvPass::BackwardWeights));
}

// What a block's last convolution does in a forward pass without batch statistics: the folded norm, residual and ReLU.
void add_fused(Table& table, const ConvShape& s) {
  const double bytes = kStorage * static_cast<double>(s.input_count() + 2 * s.output_count() + s.weight_count());
  table.add_product(
      "conv_forward", describe(s) + ", scale, shift, residual, relu", bytes, s.flops(), true,
      [=](const Inputs& in) -> Call {
        const ConvEpilogue epilogue{in.values<real>(s.k), in.values<real>(s.k), in.values<storage>(s.output_count()),
                                    true};
        const storage* w = in.values<storage>(s.weight_count());
        void* prepared = in.workspace(ASK(conv_weights_bytes(in.context().stream(), s, ConvPass::Forward)));
        if (prepared != nullptr)
          ON_BACKEND(in.context().backend(),
                     conv_prepare_weights(in.context().stream(), s, ConvPass::Forward, w, epilogue.scale, prepared));
        const storage* x = in.values<storage>(s.input_count());
        storage* y = in.space<storage>(s.output_count());
        void* workspace = workspace_of(in, s, ConvPass::Forward);
        return CALL(conv_forward(stream, s, x, w, prepared, epilogue, y, workspace));
      },
      {});
}

struct ProductShape {
  const char* what;
  bool transpose_a, transpose_b;
  int64_t m, n, k;
};

void add_product(Table& table, const ProductShape& s) {
  const double m = static_cast<double>(s.m), n = static_cast<double>(s.n), k = static_cast<double>(s.k);
  std::function<Call(Memory&)> vendor;
  if constexpr (std::is_same_v<real, float>) vendor = onednn_product(s.transpose_a, s.transpose_b, s.m, s.n, s.k);
  table.add_product(
      "gemm",
      fmt::format("{}{} {}x{}x{}, {}", s.transpose_a ? 'T' : 'N', s.transpose_b ? 'T' : 'N', s.m, s.n, s.k, s.what),
      kReal * (m * k + k * n + m * n), 2 * m * n * k, false,
      [=](const Inputs& in) -> Call {
        const real* a = in.values<real>(s.m * s.k);
        const real* b = in.values<real>(s.k * s.n);
        real* c = in.space<real>(s.m * s.n);
        void* workspace =
            in.workspace(ASK(gemm_workspace_bytes(in.context().stream(), s.transpose_a, s.transpose_b, s.m, s.n, s.k)));
        return CALL(gemm(stream, s.transpose_a, s.transpose_b, s.m, s.n, s.k, a, b, nullptr, c, Write::Set, workspace));
      },
      vendor);
}

}  // namespace

void add_convolutions(Table& table, const KernelSizes& z) {
  const std::vector<ConvShape> shapes = backbone_convolutions(z);
  for (const ConvShape& s : shapes) add_convolution(table, s);
  for (const ConvShape& s : shapes)
    if (s.kh == 1 && s.k == 4 * s.c) add_fused(table, s);
  const ConvShape& wide = shapes[1];
  const ConvShape& last = shapes.back();
  table.add("conv_prepare_weights", describe(last) + ", backward",
            2 * kStorage * static_cast<double>(last.weight_count()), [s = last](const Inputs& in) -> Call {
              const storage* w = in.values<storage>(s.weight_count());
              const size_t bytes = ASK(conv_weights_bytes(in.context().stream(), s, ConvPass::BackwardData));
              if (bytes == 0) return {};
              void* prepared = in.workspace(bytes);
              return CALL(conv_prepare_weights(stream, s, ConvPass::BackwardData, w, nullptr, prepared));
            });
  const int64_t rows = wide.output_count() / wide.k;
  for (const int c : {z.channels(64), z.channels(256)})
    table.add("bias_backward", fmt::format("{} x {}", rows, c), kStorage * static_cast<double>(rows * c),
              [=](const Inputs& in) -> Call {
                const storage* dy = in.values<storage>(rows * c);
                real* db = in.space<real>(c);
                void* work = in.workspace(ASK(row_sums_workspace_bytes(rows, c)));
                return CALL(bias_backward(stream, dy, rows, c, db, Write::Set, work));
              });
}

void add_products(Table& table, const KernelSizes& z) {
  const int n = z.samples, k = z.identities(), d = z.features();
  add_product(table, {"classifier", false, true, n, k, d});
  add_product(table, {"classifier, weights", true, false, k, d, n});
  add_product(table, {"classifier, data", false, false, n, d, k});
  add_product(table, {"distances", false, true, z.queries(), z.gallery(), d});
  table.add("column_sums", fmt::format("{} x {}", n, k), kReal * n * k, [=](const Inputs& in) -> Call {
    const real* dy = in.values<real>(int64_t{n} * k);
    real* db = in.space<real>(k);
    void* work = in.workspace(ASK(row_sums_workspace_bytes(n, k)));
    return CALL(column_sums(stream, dy, n, k, db, Write::Set, work));
  });
}

}  // namespace mpanet::PRECISION
