// Convolution and GEMM against direct loops over integers, compared exactly: every factor and sum is a whole number
// that each precision holds, so that one wrong, missing or doubled term shows.
#include <fmt/format.h>

#include "tests/kernel_test.h"

namespace mpanet::PRECISION {
namespace {

// Tails (1, primes, just over a register tile), few channels, long runs, windows wider than the picture, strides that
// leave rows out.
const ConvShape kShapes[] = {
    {.n = 1, .h = 1, .w = 1, .c = 1, .k = 1, .kh = 1, .kw = 1},
    {.n = 2, .h = 7, .w = 5, .c = 3, .k = 5, .kh = 3, .kw = 3, .stride = 1, .pad = 1},
    {.n = 2, .h = 17, .w = 11, .c = 3, .k = 64, .kh = 7, .kw = 7, .stride = 2, .pad = 3},
    {.n = 2, .h = 16, .w = 8, .c = 3, .k = 16, .kh = 7, .kw = 7, .stride = 2, .pad = 3},
    {.n = 3, .h = 5, .w = 4, .c = 17, .k = 13, .kh = 1, .kw = 1},
    {.n = 2, .h = 6, .w = 5, .c = 16, .k = 32, .kh = 1, .kw = 1, .stride = 2, .pad = 0},
    {.n = 2, .h = 8, .w = 6, .c = 32, .k = 48, .kh = 3, .kw = 3, .stride = 2, .pad = 1},
    {.n = 1, .h = 13, .w = 11, .c = 19, .k = 1, .kh = 3, .kw = 3, .stride = 1, .pad = 1},
    {.n = 2, .h = 9, .w = 6, .c = 64, .k = 65, .kh = 3, .kw = 3, .stride = 1, .pad = 1},
    {.n = 2, .h = 4, .w = 3, .c = 1031, .k = 37, .kh = 1, .kw = 1},
    {.n = 1, .h = 3, .w = 3, .c = 520, .k = 40, .kh = 3, .kw = 3, .stride = 1, .pad = 1},
    {.n = 2, .h = 2, .w = 1, .c = 8, .k = 8, .kh = 3, .kw = 3, .stride = 1, .pad = 1},
    {.n = 1, .h = 11, .w = 10, .c = 6, .k = 7, .kh = 3, .kw = 3, .stride = 3, .pad = 0},
    {.n = 1, .h = 9, .w = 8, .c = 5, .k = 9, .kh = 1, .kw = 3, .stride = 1, .pad = 0},
    {.n = 16, .h = 4, .w = 2, .c = 64, .k = 96, .kh = 3, .kw = 3, .stride = 1, .pad = 1},
};

std::string name(const ConvShape& s) {
  return fmt::format("{}x{}x{}x{} * {}x{}x{} stride {} pad {}", s.n, s.h, s.w, s.c, s.k, s.kh, s.kw, s.stride, s.pad);
}

// Calls body(index in y, index in x, index in w) for every product of the convolution, by its definition.
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

struct Convolution {
  explicit Convolution(const ConvShape& shape) : s(shape) {}

  std::vector<char> prepare(ConvPass pass, const std::vector<real>& w, const real* scale) {
    std::vector<char> prepared(cpu::conv_weights_bytes(context.stream(), s, pass));
    if (!prepared.empty()) cpu::conv_prepare_weights(context.stream(), s, pass, w.data(), scale, prepared.data());
    return prepared;
  }
  void forward(const std::vector<real>& x, const std::vector<real>& w, const real* scale, const ConvEpilogue& epilogue,
               storage* y) {
    const std::vector<char> prepared = prepare(ConvPass::Forward, w, scale);
    Guarded<char> work(static_cast<int64_t>(cpu::conv_workspace_bytes(context.stream(), s, ConvPass::Forward)), 1);
    cpu::conv_forward(context.stream(), s, x.data(), w.data(), prepared.empty() ? nullptr : prepared.data(), epilogue,
                      y, work.data());
  }
  void backward_data(const std::vector<real>& dy, const std::vector<real>& w, storage* dx, Write write) {
    const std::vector<char> prepared = prepare(ConvPass::BackwardData, w, nullptr);
    Guarded<char> work(static_cast<int64_t>(cpu::conv_workspace_bytes(context.stream(), s, ConvPass::BackwardData)), 1);
    cpu::conv_backward_data(context.stream(), s, dy.data(), w.data(), prepared.empty() ? nullptr : prepared.data(), dx,
                            write, work.data());
  }
  void backward_weights(const std::vector<real>& x, const std::vector<real>& dy, real* dw, Write write) {
    Guarded<char> work(static_cast<int64_t>(cpu::conv_workspace_bytes(context.stream(), s, ConvPass::BackwardWeights)),
                       1);
    cpu::conv_backward_weights(context.stream(), s, x.data(), dy.data(), dw, write, work.data());
  }

  ConvShape s;
  Context context{Backend::cpu};
};

TEST_CASE("conv_forward") {
  for (const ConvShape& s : kShapes) {
    const std::vector<real> x = integers(s.input_count(), 1), w = integers(s.weight_count(), 2);
    std::vector<real> expected(static_cast<size_t>(s.output_count()));
    each_product(s, [&](size_t y, size_t i, size_t j) { expected[y] += x[i] * w[j]; });
    Guarded<storage> y(s.output_count());
    Convolution(s).forward(x, w, nullptr, {}, y.data());
    check_exact(y.values(), expected, name(s));
  }
}

TEST_CASE("conv_forward with every epilogue") {
  for (const ConvShape& s : kShapes) {
    const std::vector<real> x = integers(s.input_count(), 1), w = integers(s.weight_count(), 2);
    const std::vector<real> scale = integers(s.k, 3), shift = integers(s.k, 4, 20);
    const std::vector<real> residual = integers(s.output_count(), 5, 20);
    std::vector<real> product(static_cast<size_t>(s.output_count()));
    each_product(s, [&](size_t y, size_t i, size_t j) { product[y] += x[i] * w[j]; });
    Convolution conv(s);
    for (int kind = 0; kind < 16; kind++) {
      const bool scaled = kind & 1, shifted = kind & 2, added = kind & 4, relu = kind & 8;
      std::vector<real> expected = product;
      for (size_t i = 0; i < expected.size(); i++) {
        const size_t k = i % static_cast<size_t>(s.k);
        real value = expected[i] * (scaled ? scale[k] : 1) + (shifted ? shift[k] : 0) + (added ? residual[i] : 0);
        expected[i] = relu && value < 0 ? 0 : value;
      }
      const ConvEpilogue epilogue{.scale = scaled ? scale.data() : nullptr,
                                  .shift = shifted ? shift.data() : nullptr,
                                  .residual = added ? residual.data() : nullptr,
                                  .relu = relu};
      Guarded<storage> y(s.output_count());
      conv.forward(x, w, epilogue.scale, epilogue, y.data());
      check_exact(y.values(), expected, name(s) + ", epilogue " + std::to_string(kind));
      if (!added) continue;
      Guarded<storage> in_place(residual);
      ConvEpilogue same = epilogue;
      same.residual = in_place.data();
      conv.forward(x, w, same.scale, same, in_place.data());
      check_exact(in_place.values(), expected, name(s) + ", in place, epilogue " + std::to_string(kind));
    }
  }
}

TEST_CASE("conv_backward_data") {
  for (const ConvShape& s : kShapes) {
    const std::vector<real> dy = integers(s.output_count(), 6), w = integers(s.weight_count(), 2);
    const std::vector<real> before = integers(s.input_count(), 7, 100);
    std::vector<real> expected(static_cast<size_t>(s.input_count()));
    each_product(s, [&](size_t y, size_t i, size_t j) { expected[i] += dy[y] * w[j]; });
    Convolution conv(s);
    Guarded<storage> dx(s.input_count());
    conv.backward_data(dy, w, dx.data(), Write::Set);
    check_exact(dx.values(), expected, name(s));
    Guarded<storage> sum(before);
    conv.backward_data(dy, w, sum.data(), Write::Add);
    for (size_t i = 0; i < expected.size(); i++) expected[i] += before[i];
    check_exact(sum.values(), expected, name(s) + ", added");
  }
}

TEST_CASE("conv_backward_weights") {
  for (const ConvShape& s : kShapes) {
    const std::vector<real> x = integers(s.input_count(), 1), dy = integers(s.output_count(), 6);
    const std::vector<real> before = integers(s.weight_count(), 7, 100);
    std::vector<real> expected(static_cast<size_t>(s.weight_count()));
    each_product(s, [&](size_t y, size_t i, size_t j) { expected[j] += x[i] * dy[y]; });
    Convolution conv(s);
    Guarded<real> dw(s.weight_count());
    conv.backward_weights(x, dy, dw.data(), Write::Set);
    check_exact(dw.values(), expected, name(s));
    Guarded<real> sum(before);
    conv.backward_weights(x, dy, sum.data(), Write::Add);
    for (size_t i = 0; i < expected.size(); i++) expected[i] += before[i];
    check_exact(sum.values(), expected, name(s) + ", added");
  }
}

TEST_CASE("gemm in every transposition") {
  const int64_t sizes[][3] = {{1, 1, 1},    {3, 5, 7},     {64, 32, 128}, {67, 33, 129},
                              {1, 300, 17}, {131, 1, 260}, {9, 70, 515}};
  Context context(Backend::cpu);
  for (const auto& [m, n, k] : sizes) {
    const std::vector<real> a = integers(m * k, 1), b = integers(k * n, 2), before = integers(m * n, 3, 100);
    for (int kind = 0; kind < 8; kind++) {
      const bool transpose_a = kind & 1, transpose_b = kind & 2;
      const Write write = kind & 4 ? Write::Add : Write::Set;
      std::vector<real> expected(static_cast<size_t>(m * n));
      for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
          real& sum = expected[static_cast<size_t>(i * n + j)];
          if (write == Write::Add) sum = before[static_cast<size_t>(i * n + j)];
          for (int64_t p = 0; p < k; p++)
            sum += a[static_cast<size_t>(transpose_a ? p * m + i : i * k + p)] *
                   b[static_cast<size_t>(transpose_b ? j * k + p : p * n + j)];
        }
      Guarded<real> c(m * n);
      if (write == Write::Add) std::copy(before.begin(), before.end(), c.data());
      cpu::gemm(context.stream(), transpose_a, transpose_b, m, n, k, a.data(), b.data(), nullptr, c.data(), write,
                nullptr);
      check_exact(c.values(), expected, fmt::format("{} x {} x {}, kind {}", m, n, k, kind));
    }
  }
}

}  // namespace
}  // namespace mpanet::PRECISION
