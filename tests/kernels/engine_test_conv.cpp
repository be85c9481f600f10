// Convolution and GEMM against direct loops over integers. Every factor and sum is an integer that each precision
// represents, so results are compared exactly: one wrong, missing or doubled term shows. f32's are in TF32 too.
#include <cmath>
#include <deque>
#include <limits>
#include <utility>

#include "tests/support/conv_test.h"

namespace mpanet::PRECISION {
namespace {

// Sizes with remainders (1, primes, slightly more than a register tile), few channels, many channels, windows wider
// than the picture, strides that skip rows.
const ConvShape kShapes[] = {
    {.n = 1, .h = 1, .w = 1, .c = 1, .k = 1, .kh = 1, .kw = 1},
    {.n = 2, .h = 7, .w = 5, .c = 3, .k = 5, .kh = 3, .kw = 3, .stride = 1, .pad = 1},
    {.n = 2, .h = 17, .w = 11, .c = 3, .k = 64, .kh = 7, .kw = 7, .stride = 2, .pad = 3},
    {.n = 2, .h = 16, .w = 8, .c = 3, .k = 16, .kh = 7, .kw = 7, .stride = 2, .pad = 3},
    {.n = 3, .h = 12, .w = 16, .c = 3, .k = 64, .kh = 7, .kw = 7, .stride = 2, .pad = 3},  // 128 pixels of 3 pictures
    {.n = 1, .h = 33, .w = 21, .c = 3, .k = 24, .kh = 7, .kw = 7, .stride = 2, .pad = 3},
    {.n = 5, .h = 1, .w = 1, .c = 3, .k = 8, .kh = 7, .kw = 7, .stride = 2, .pad = 3},
    {.n = 1, .h = 2, .w = 296, .c = 3, .k = 40, .kh = 7, .kw = 7, .stride = 2, .pad = 3},
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
    {.n = 1, .h = 2, .w = 3, .c = 2048, .k = 64, .kh = 1, .kw = 1},
    {.n = 16, .h = 4, .w = 2, .c = 64, .k = 96, .kh = 3, .kw = 3, .stride = 1, .pad = 1},
};

TEST_CASE("conv_forward with every epilogue") {
  for (const ConvShape& s : kShapes) {
    const std::vector<real> x = integers(s.input_count(), 1), w = integers(s.weight_count(), 2);
    const std::vector<real> scale = integers(s.k, 3), shift = integers(s.k, 4, 20);
    const std::vector<real> residual = integers(s.output_count(), 5, 20);
    std::vector<real> product(static_cast<size_t>(s.output_count()));
    each_product(s, [&](size_t y, size_t i, size_t j) { product[y] += x[i] * w[j]; });
    on_each_stream([&](Context& context, bool) {
      Convolution conv(context, s, w);
      const Stored input(context, x), rest(context, residual);
      const Reals scales(context, scale), shifts(context, shift);
      for (const Flags& flags : combinations({"scale", "shift", "residual", "relu"})) {
        const bool scaled = flags["scale"], shifted = flags["shift"], added = flags["residual"], relu = flags["relu"];
        // The emulation is slow: large shapes run with none, all, and each half of the parts only.
        const bool halves = scaled == added && shifted == relu;
        if (context.backend() != Backend::cpu && s.flops() > 1e6 && !halves) continue;
        std::vector<real> expected = product;
        for (size_t i = 0; i < expected.size(); i++) {
          const size_t k = i % static_cast<size_t>(s.k);
          const real value = expected[i] * (scaled ? scale[k] : 1) + (shifted ? shift[k] : 0);
          expected[i] = to_storage(value + (added ? residual[i] : 0));
          if (relu && expected[i] < 0) expected[i] = 0;
        }
        const ConvEpilogue epilogue{.scale = scaled ? scales.data() : nullptr,
                                    .shift = shifted ? shifts.data() : nullptr,
                                    .residual = added ? rest.data() : nullptr,
                                    .relu = relu};
        Stored y(context, s.output_count());
        conv.forward(input, epilogue, y.data());
        check_exact(y.values(), expected, name(s) + ", epilogue " + flags.text());
        if (!added) continue;
        Stored in_place(context, residual);
        ConvEpilogue same = epilogue;
        same.residual = in_place.data();
        conv.forward(input, same, in_place.data());
        check_exact(in_place.values(), expected, name(s) + ", in place, epilogue " + flags.text());
      }
    });
  }
}

// Kernels multiply more than the taps by zeros, which are no zeros where a pixel is infinite.
TEST_CASE("an infinite pixel reaches the outputs whose window has it, no others") {
  constexpr real inf = std::numeric_limits<real>::infinity();
  for (const int w : {16, 19}) {
    const ConvShape s{.n = 2, .h = 9, .w = w, .c = 3, .k = 16, .kh = 7, .kw = 7, .stride = 2, .pad = 3};
    const std::vector<real> weights(static_cast<size_t>(s.weight_count()), real(1));
    for (int64_t at = 0; at < s.input_count(); at += 5) {
      std::vector<real> x(static_cast<size_t>(s.input_count())), expected(static_cast<size_t>(s.output_count()));
      x[static_cast<size_t>(at)] = inf;
      each_product(s, [&](size_t y, size_t i, size_t) {
        if (static_cast<int64_t>(i) == at) expected[y] = inf;
      });
      on_each_device([&](Context& context) {
        Convolution conv(context, s, weights);
        const Stored input(context, x);
        Stored y(context, s.output_count());
        conv.forward(input, {}, y.data());
        check_exact(y.values(), expected, fmt::format("{}, element {}", name(s), at));
      });
    }
  }
}

TEST_CASE("conv_backward_data") {
  for (const ConvShape& s : kShapes) {
    const std::vector<real> dy = integers(s.output_count(), 6), w = integers(s.weight_count(), 2);
    const std::vector<real> before = integers(s.input_count(), 7, 100);
    std::vector<real> expected(static_cast<size_t>(s.input_count()));
    each_product(s, [&](size_t y, size_t i, size_t j) { expected[i] += dy[y] * w[j]; });
    std::vector<real> sum = expected;
    for (size_t i = 0; i < sum.size(); i++) sum[i] += before[i];
    on_each_stream([&](Context& context, bool) {
      Convolution conv(context, s, w);
      const Stored gradient(context, dy);
      Stored dx(context, s.input_count()), added(context, before);
      conv.backward_data(gradient, dx.data(), Write::Set);
      check_exact(dx.values(), rounded(expected), name(s));
      conv.backward_data(gradient, added.data(), Write::Add);
      check_exact(added.values(), rounded(sum), name(s) + ", added");
    });
  }
}

TEST_CASE("conv_backward_weights") {
  for (const ConvShape& s : kShapes) {
    const std::vector<real> x = integers(s.input_count(), 1), dy = integers(s.output_count(), 6);
    const std::vector<real> before = integers(s.weight_count(), 7, 100);
    std::vector<real> expected(static_cast<size_t>(s.weight_count()));
    each_product(s, [&](size_t y, size_t i, size_t j) { expected[j] += x[i] * dy[y]; });
    std::vector<real> sum = expected;
    for (size_t i = 0; i < sum.size(); i++) sum[i] += before[i];
    on_each_stream([&](Context& context, bool) {
      Convolution conv(context, s, std::vector<real>(expected.size()));
      const Stored input(context, x), gradient(context, dy);
      Reals dw(context, s.weight_count()), added(context, before);
      conv.backward_weights(input, gradient, dw.data(), Write::Set);
      check_exact(dw.values(), expected, name(s));
      conv.backward_weights(input, gradient, added.data(), Write::Add);
      check_exact(added.values(), sum, name(s) + ", added");
    });
  }
}

// Products of which some are set and some added, more than a launch has.
TEST_CASE("several products of equal sizes") {
  const int64_t sizes[][3] = {{3, 5, 7}, {8, 16, 2048}, {67, 36, 520}};
  constexpr int kProducts = 11;
  for (const auto& [m, n, k] : sizes) {
    for (const Flags& flags : combinations({"a transposed", "b transposed"})) {
      const bool transpose_a = flags["a transposed"], transpose_b = flags["b transposed"];
      on_each_stream(
          [&, m = m, n = n, k = k](Context& context, bool) {
            const Stream stream = context.stream();
            std::deque<Reals> memory;
            std::vector<GemmOperands> list;
            std::vector<std::vector<real>> expected;
            const Reals left(context, integers(m * k, 1));  // of all of them
            for (uint32_t i = 0; i < kProducts; i++) {
              const std::vector<real> a = left.values(), b = integers(k * n, 10 + i),
                                      before = integers(m * n, 30 + i, 100);
              const bool add = i % 3 == 1;
              const Reals& right = memory.emplace_back(context, b);
              const Reals& c = memory.emplace_back(context, before);
              list.push_back({left.data(), right.data(), c.data(), add ? Write::Add : Write::Set});
              std::vector<real>& sums = expected.emplace_back(add ? before : std::vector<real>(before.size()));
              for (int64_t r = 0; r < m; r++)
                for (int64_t j = 0; j < n; j++)
                  for (int64_t p = 0; p < k; p++)
                    sums[static_cast<size_t>(r * n + j)] +=
                        a[static_cast<size_t>(transpose_a ? p * m + r : r * k + p)] *
                        b[static_cast<size_t>(transpose_b ? j * k + p : p * n + j)];
            }
            const Bytes work(
                context,
                static_cast<int64_t>(ASK_BACKEND(
                    context, gemm_batch_workspace_bytes(stream, transpose_a, transpose_b, m, n, k, kProducts))));
            RUN_ON(context, gemm_batch(stream, transpose_a, transpose_b, m, n, k, list.data(), kProducts, work.data()));
            for (size_t i = 0; i < kProducts; i++)
              check_exact(memory[2 * i + 1].values(), expected[i],
                          fmt::format("{} x {} x {}, product {}, {}", m, n, k, i, flags.text()));
          },
          kTf32Products);
    }
  }
}

TEST_CASE("gemm in every transposition") {
  const int64_t sizes[][3] = {{1, 1, 1},    {3, 5, 7},     {64, 32, 128}, {67, 33, 129},
                              {1, 300, 17}, {131, 1, 260}, {9, 70, 515},  {8, 16, 2048}};
  for (const auto& [m, n, k] : sizes) {
    const std::vector<real> a = integers(m * k, 1), b = integers(k * n, 2), before = integers(m * n, 3, 100);
    const std::vector<real> bias = integers(n, 4, 100);
    for (const Flags& flags : combinations({"a transposed", "b transposed", "added", "bias"})) {
      const bool transpose_a = flags["a transposed"], transpose_b = flags["b transposed"], biased = flags["bias"];
      const Write write = flags["added"] ? Write::Add : Write::Set;
      std::vector<real> expected(static_cast<size_t>(m * n));
      for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
          real& sum = expected[static_cast<size_t>(i * n + j)];
          if (write == Write::Add) sum = before[static_cast<size_t>(i * n + j)];
          if (biased) sum += bias[static_cast<size_t>(j)];
          for (int64_t p = 0; p < k; p++)
            sum += a[static_cast<size_t>(transpose_a ? p * m + i : i * k + p)] *
                   b[static_cast<size_t>(transpose_b ? j * k + p : p * n + j)];
        }
      on_each_stream(
          [&, m = m, n = n, k = k](Context& context, bool) {
            const Stream stream = context.stream();
            const Reals left(context, a), right(context, b), shift(context, bias);
            const Bytes work(context, static_cast<int64_t>(ASK_BACKEND(
                                          context, gemm_workspace_bytes(stream, transpose_a, transpose_b, m, n, k))));
            Reals c(context, write == Write::Add ? before : std::vector<real>(before.size(), real(55)));
            RUN_ON(context, gemm(stream, transpose_a, transpose_b, m, n, k, left.data(), right.data(),
                                 biased ? shift.data() : nullptr, c.data(), write, work.data()));
            check_exact(c.values(), expected, fmt::format("{} x {} x {}, {}", m, n, k, flags.text()));
          },
          kTf32Products);
    }
  }
}

// `values` (rows, width) in rows that are longer by `more`, with NaN behind them.
std::vector<real> in_rows(const std::vector<real>& values, int64_t width, int64_t more) {
  std::vector<real> memory;
  for (size_t i = 0; i < values.size(); i += static_cast<size_t>(width)) {
    const auto row = values.begin() + static_cast<ptrdiff_t>(i);
    memory.insert(memory.end(), row, row + width);
    memory.insert(memory.end(), static_cast<size_t>(more), std::numeric_limits<real>::quiet_NaN());
  }
  return memory;
}

TEST_CASE("rows with a stride: what lies behind them changes no result") {
  const int64_t sizes[][3] = {{13, 395, 64}, {395, 64, 13}, {13, 64, 395}, {9, 70, 515}, {130, 67, 2051}};
  for (const auto& [m, n, k] : sizes) {
    const std::vector<real> a = integers(m * k, 1), b = integers(k * n, 2), before = integers(m * n, 3, 100);
    for (const Flags& flags : combinations({"a transposed", "b transposed", "added", "packs"})) {
      const bool transpose_a = flags["a transposed"], transpose_b = flags["b transposed"], added = flags["added"];
      const auto stride_of = [&](int64_t width) { return flags["packs"] ? (width + 7) / 4 * 4 : width + 3; };
      const int64_t width_a = transpose_a ? m : k, width_b = transpose_b ? k : n;
      const GemmStrides strides{stride_of(width_a), stride_of(width_b), stride_of(n)};
      std::vector<real> expected = added ? before : std::vector<real>(before.size());
      for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
          for (int64_t p = 0; p < k; p++)
            expected[static_cast<size_t>(i * n + j)] += a[static_cast<size_t>(transpose_a ? p * m + i : i * k + p)] *
                                                        b[static_cast<size_t>(transpose_b ? j * k + p : p * n + j)];
      on_each_stream(
          [&, m = m, n = n, k = k](Context& context, bool) {
            const Stream stream = context.stream();
            const Reals left(context, in_rows(a, width_a, strides.a - width_a));
            const Reals right(context, in_rows(b, width_b, strides.b - width_b));
            const Reals c(context, in_rows(before, n, strides.c - n));
            const auto check = [&](const char* function) {
              std::vector<real> dense;
              const std::vector<real> rows = c.values();
              for (int64_t i = 0; i < m; i++)
                dense.insert(dense.end(), rows.begin() + i * strides.c, rows.begin() + i * strides.c + n);
              check_exact(dense, expected, fmt::format("{} {} x {} x {}, {}", function, m, n, k, flags.text()));
            };
            const Write write = added ? Write::Add : Write::Set;
            const Bytes work(context,
                             static_cast<int64_t>(ASK_BACKEND(
                                 context, gemm_workspace_bytes(stream, transpose_a, transpose_b, m, n, k, strides))));
            RUN_ON(context, gemm(stream, transpose_a, transpose_b, m, n, k, left.data(), right.data(), nullptr,
                                 c.data(), write, work.data(), strides));
            check("gemm");
            if (added) return;
            const GemmOperands one{left.data(), right.data(), c.data()};
            const Reals other(context, in_rows(before, n, strides.c - n));
            const GemmOperands list[] = {one, {left.data(), right.data(), other.data()}};
            const Bytes more(
                context,
                static_cast<int64_t>(ASK_BACKEND(
                    context, gemm_batch_workspace_bytes(stream, transpose_a, transpose_b, m, n, k, 2, strides))));
            RUN_ON(context, gemm_batch(stream, transpose_a, transpose_b, m, n, k, list, 2, more.data(), strides));
            check("gemm_batch");
          },
          kTf32Products);
    }
  }
}

// A factor times one is the rounded factor.
TEST_CASE("products in TF32 round their factors to 10 bits, nearest, ties away from zero, as cvt.rna.tf32.f32") {
  if (!kTf32Products) return;
  constexpr real inf = std::numeric_limits<real>::infinity();
  const real unit = real(0x1p-10);  // of the last bit that is kept of 1.0 to 2.0
  const std::pair<real, real> cases[] = {
      {0, 0},
      {1, 1},
      {1 + unit, 1 + unit},
      {1 + unit / 2, 1 + unit},                       // a tie, from an even number too
      {1 + 3 * unit / 2, 1 + 2 * unit},               // a tie
      {1 + unit / 2 - real(0x1p-23), 1},              // one bit below a tie
      {1 + unit / 4, 1},                              //
      {2 - real(0x1p-23), 2},                         // carries into the exponent
      {real(3.14159274), real(3.140625)},             // 0x40490fdb to 0x40490000
      {real(0x1p-126), real(0x1p-126)},               // the smallest normal number
      {real(0x1.ffcp127), real(0x1.ffcp127)},         // the largest
      {real(std::numeric_limits<float>::max()), inf}  // rounds to 2^128
  };
  std::vector<real> from, expected;
  for (const auto& [value, rounded] : cases)
    for (const real sign : {real(1), real(-1)}) {
      from.push_back(sign * value);
      expected.push_back(sign * rounded);
    }
  from.insert(from.end(), {inf, -inf});
  expected.insert(expected.end(), {inf, -inf});
  const size_t numbers = from.size();
  const auto quiet = std::numeric_limits<real>::quiet_NaN();
  from.insert(from.end(), {quiet, -quiet});
  const auto check = [&](const std::vector<real>& got, const std::string& what) {
    REQUIRE(got.size() == from.size());
    for (size_t i = 0; i < numbers; i++) {
      INFO(what << ": " << from[i]);
      CHECK(got[i] == expected[i]);
    }
    for (size_t i = numbers; i < got.size(); i++) CHECK_MESSAGE(std::isnan(got[i]), what);
  };
  const int count = static_cast<int>(from.size());
  on_each_device([&](Context& context) {
    context.stream_handle()->set_tf32(true);
    const std::vector<real> one = {1};
    Reals to(context, count);
    if (kTf32Convolutions) {
      const Stored stored(context, from), stored_one(context, one);
      // Pixels times a filter, filters times a pixel.
      const ConvShape pixels{.n = 1, .h = 1, .w = count, .c = 1, .k = 1, .kh = 1, .kw = 1};
      const ConvShape filters{.n = 1, .h = 1, .w = 1, .c = 1, .k = count, .kh = 1, .kw = 1};
      Stored y(context, count);
      Convolution of_pixels(context, pixels, one), of_filters(context, filters, from);
      of_pixels.forward(stored, {}, y.data());
      check(y.values(), "forward, x");
      of_filters.forward(stored_one, {}, y.data());
      check(y.values(), "forward, w");
      of_pixels.backward_data(stored, y.data(), Write::Set);
      check(y.values(), "backward data, dy");
      const ConvShape channels{.n = 1, .h = 1, .w = 1, .c = count, .k = 1, .kh = 1, .kw = 1};
      Convolution of_channels(context, channels, from);
      of_channels.backward_data(stored_one, y.data(), Write::Set);
      check(y.values(), "backward data, w");
      of_channels.backward_weights(stored, stored_one, to.data(), Write::Set);
      check(to.values(), "backward weights, x");
      of_filters.backward_weights(stored_one, stored, to.data(), Write::Set);
      check(to.values(), "backward weights, dy");
    }
    const Reals factor(context, from), ones(context, one);
    for (const bool left : {true, false}) {
      const int64_t m = left ? count : 1, n = left ? 1 : count;
      const Bytes work(context, static_cast<int64_t>(ASK_BACKEND(
                                    context, gemm_workspace_bytes(context.stream(), false, false, m, n, 1))));
      RUN_ON(context, gemm(context.stream(), false, false, m, n, 1, (left ? factor : ones).data(),
                           (left ? ones : factor).data(), nullptr, to.data(), Write::Set, work.data()));
      check(to.values(), left ? "gemm, a" : "gemm, b");
    }
  });
}

}  // namespace
}  // namespace mpanet::PRECISION
