// Convolution over packed panels (kernels/cpu/panel_conv.cpp, panel_gradient.cpp), with the kernels of every
// instruction set that the processor has. Values are integers and compared exactly, as in engine_test_conv.cpp:
// Winograd's transformed filters are quarters of integers.
#include <omp.h>

#include <cmath>

#include "kernels/cpu/conv_providers.h"
#include "kernels/cpu/panel_kernels.h"
#include "kernels/cpu/vendor.h"
#include "tests/support/conv_test.h"

namespace mpanet::PRECISION {
namespace {

// Panels and tiles with remainders, depths of several blocks, pixels of several blocks, strides with residues that no
// tap reads. The 3x3 filters of stride 1 with a multiple of 16 channels on the read side use Winograd's algorithm.
const ConvShape kShapes[] = {
    {.n = 1, .h = 1, .w = 1, .c = 1, .k = 1, .kh = 1, .kw = 1},
    {.n = 2, .h = 7, .w = 5, .c = 3, .k = 5, .kh = 3, .kw = 3, .stride = 1, .pad = 1},
    {.n = 2, .h = 17, .w = 11, .c = 3, .k = 64, .kh = 7, .kw = 7, .stride = 2, .pad = 3},
    {.n = 3, .h = 5, .w = 4, .c = 17, .k = 13, .kh = 1, .kw = 1},
    {.n = 2, .h = 6, .w = 5, .c = 16, .k = 32, .kh = 1, .kw = 1, .stride = 2, .pad = 0},
    {.n = 2, .h = 9, .w = 7, .c = 32, .k = 48, .kh = 3, .kw = 3, .stride = 2, .pad = 1},
    {.n = 1, .h = 11, .w = 10, .c = 16, .k = 7, .kh = 3, .kw = 3, .stride = 3, .pad = 0},
    {.n = 1, .h = 9, .w = 8, .c = 5, .k = 9, .kh = 1, .kw = 3, .stride = 1, .pad = 0},
    {.n = 2, .h = 4, .w = 3, .c = 1031, .k = 37, .kh = 1, .kw = 1},
    {.n = 2, .h = 5, .w = 6, .c = 1040, .k = 33, .kh = 1, .kw = 1},
    {.n = 1, .h = 4, .w = 3, .c = 64, .k = 600, .kh = 5, .kw = 3, .stride = 2, .pad = 2},
    {.n = 2, .h = 9, .w = 6, .c = 64, .k = 65, .kh = 3, .kw = 3, .stride = 1, .pad = 1},
    {.n = 1, .h = 3, .w = 3, .c = 528, .k = 48, .kh = 3, .kw = 3, .stride = 1, .pad = 1},
    {.n = 1, .h = 5, .w = 4, .c = 16, .k = 16, .kh = 3, .kw = 3, .stride = 1, .pad = 0},
    {.n = 1, .h = 4, .w = 5, .c = 16, .k = 32, .kh = 3, .kw = 3, .stride = 1, .pad = 2},
    {.n = 1, .h = 1, .w = 1, .c = 16, .k = 16, .kh = 3, .kw = 3, .stride = 1, .pad = 1},
    {.n = 3, .h = 40, .w = 10, .c = 16, .k = 32, .kh = 3, .kw = 3, .stride = 1, .pad = 1},
    // For gradients of weights: several ranges of filters and channels, and pixels in several ranges.
    {.n = 2, .h = 5, .w = 5, .c = 144, .k = 160, .kh = 3, .kw = 3, .stride = 1, .pad = 1},
    {.n = 1, .h = 5, .w = 4, .c = 48, .k = 16, .kh = 3, .kw = 3, .stride = 1, .pad = 1},
    {.n = 2, .h = 33, .w = 17, .c = 20, .k = 18, .kh = 1, .kw = 1},
    {.n = 1, .h = 67, .w = 62, .c = 16, .k = 16, .kh = 3, .kw = 3, .stride = 2, .pad = 1},
    {.n = 2, .h = 65, .w = 64, .c = 5, .k = 4, .kh = 1, .kw = 1},
};

// Calls body(context) with the kernels of each instruction set.
template <class Body>
void on_each_instruction_set(const Body& body) {
  const auto all = mpanet::cpu::all_panel_kernels();
  REQUIRE(!all.empty());
  for (const auto* kernels : all) {
    CAPTURE(kernels->instruction_set);
    mpanet::cpu::force_panel_kernels(kernels);
    Context context(Backend::cpu, Guards::On);
    body(context);
    CHECK_NOTHROW(context.synchronize());
  }
  mpanet::cpu::force_panel_kernels(nullptr);
}

// With a residual in place: y holds it before.
std::vector<real> forward(Context& context, const ConvShape& s, const std::vector<real>& x, const std::vector<real>& w,
                          const real* scale, ConvEpilogue epilogue = {}, const std::vector<real>& residual = {}) {
  const Stream stream = context.stream();
  const ConvPass pass = ConvPass::Forward;
  const Stored input(context, x), weights(context, w);
  const Stored y = residual.empty() ? Stored(context, s.output_count()) : Stored(context, residual);
  if (!residual.empty()) epilogue.residual = y.data();
  const Bytes prepared(context, static_cast<int64_t>(cpu::panels::conv_weights_bytes(stream, s, pass)));
  const Bytes work(context, static_cast<int64_t>(cpu::panels::conv_workspace_bytes(stream, s, pass)));
  cpu::panels::conv_prepare_weights(stream, s, pass, weights.data(), scale, prepared.data());
  cpu::panels::conv_forward(stream, s, input.data(), weights.data(), prepared.data(), epilogue, y.data(), work.data());
  return y.values();
}

// before: what dx holds; empty: dx is set.
std::vector<real> backward_data(Context& context, const ConvShape& s, const std::vector<real>& dy,
                                const std::vector<real>& w, const std::vector<real>& before) {
  const Stream stream = context.stream();
  const Stored gradient(context, dy), weights(context, w);
  const Stored dx = before.empty() ? Stored(context, s.input_count()) : Stored(context, before);
  const ConvPass pass = ConvPass::BackwardData;
  const Bytes prepared(context, static_cast<int64_t>(cpu::panels::conv_weights_bytes(stream, s, pass)));
  const Bytes work(context, static_cast<int64_t>(cpu::panels::conv_workspace_bytes(stream, s, pass)));
  cpu::panels::conv_prepare_weights(stream, s, pass, weights.data(), nullptr, prepared.data());
  cpu::panels::conv_backward_data(stream, s, gradient.data(), weights.data(), prepared.data(), dx.data(),
                                  before.empty() ? Write::Set : Write::Add, work.data(), {});
  return dx.values();
}

// before: what dw holds; empty: dw is set.
std::vector<real> backward_weights(Context& context, const ConvShape& s, const std::vector<real>& x,
                                   const std::vector<real>& dy, const std::vector<real>& before) {
  const Stream stream = context.stream();
  const Stored input(context, x), gradient(context, dy);
  const Array<real> dw = before.empty() ? Array<real>(context, s.weight_count()) : Array<real>(context, before);
  const Bytes work(context,
                   static_cast<int64_t>(cpu::panels::conv_workspace_bytes(stream, s, ConvPass::BackwardWeights)));
  cpu::panels::conv_backward_weights(stream, s, input.data(), gradient.data(), dw.data(),
                                     before.empty() ? Write::Set : Write::Add, work.data());
  return dw.values();
}

TEST_CASE("panels: forward, with every epilogue, on every instruction set") {
  for (const ConvShape& s : kShapes) {
    const std::vector<real> x = integers(s.input_count(), 1), w = integers(s.weight_count(), 2);
    const std::vector<real> scale = integers(s.k, 3), shift = integers(s.k, 4),
                            residual = integers(s.output_count(), 5);
    std::vector<real> sums(static_cast<size_t>(s.output_count()));
    each_product(s, [&](size_t y, size_t i, size_t j) { sums[y] += x[i] * w[j]; });
    on_each_instruction_set([&](Context& context) {
      check_exact(forward(context, s, x, w, nullptr), rounded(sums), name(s));
      std::vector<real> expected = sums;
      for (size_t i = 0; i < expected.size(); i++) {
        const size_t k = i % static_cast<size_t>(s.k);
        expected[i] = std::max(real{0}, expected[i] * scale[k] + shift[k] + residual[i]);
      }
      check_exact(forward(context, s, x, w, scale.data(), {.shift = shift.data(), .relu = true}, residual),
                  rounded(expected), name(s) + ", epilogue");
    });
  }
}

TEST_CASE("panels: backward data, on every instruction set") {
  for (const ConvShape& s : kShapes) {
    const std::vector<real> dy = integers(s.output_count(), 6), w = integers(s.weight_count(), 2);
    const std::vector<real> before = integers(s.input_count(), 7, 100);
    std::vector<real> expected(static_cast<size_t>(s.input_count()));
    each_product(s, [&](size_t y, size_t i, size_t j) { expected[i] += dy[y] * w[j]; });
    std::vector<real> sum = expected;
    for (size_t i = 0; i < sum.size(); i++) sum[i] += before[i];
    on_each_instruction_set([&](Context& context) {
      check_exact(backward_data(context, s, dy, w, {}), rounded(expected), name(s));
      check_exact(backward_data(context, s, dy, w, before), rounded(sum), name(s) + ", added");
    });
  }
}

TEST_CASE("panels: backward weights, on every instruction set") {
  for (const ConvShape& s : kShapes) {
    const std::vector<real> x = integers(s.input_count(), 1), dy = integers(s.output_count(), 6);
    const std::vector<real> before = integers(s.weight_count(), 7, 100);
    std::vector<real> expected(static_cast<size_t>(s.weight_count()));
    each_product(s, [&](size_t y, size_t i, size_t j) { expected[j] += dy[y] * x[i]; });
    std::vector<real> sum = expected;
    for (size_t i = 0; i < sum.size(); i++) sum[i] += before[i];
    on_each_instruction_set([&](Context& context) {
      check_exact(backward_weights(context, s, x, dy, {}), expected, name(s));
      check_exact(backward_weights(context, s, x, dy, before), sum, name(s) + ", added");
    });
  }
}

std::vector<real> normals(int64_t count, uint64_t seed) {
  Random random(seed, Purpose::Test, 0, 0);
  std::vector<real> values(static_cast<size_t>(count));
  for (real& v : values) v = static_cast<real>(random.normal());
  return values;
}

// AVX2 and AVX-512 multiply and add with one rounding, in the same order.
TEST_CASE("panels: the same bits with any number of threads, and with every instruction set that has FMA") {
  const int before = omp_get_max_threads();
  for (const ConvShape& s : kShapes) {
    const auto x = normals(s.input_count(), 1), w = normals(s.weight_count(), 2), dy = normals(s.output_count(), 3);
    std::vector<real> y, dx, dw;
    on_each_instruction_set([&](Context& context) {
      if (!std::string(mpanet::cpu::panel_kernels().instruction_set).starts_with("AVX")) return;
      for (const int threads : {1, 2, 3, 7}) {
        CAPTURE(threads);
        omp_set_num_threads(threads);
        const auto got = forward(context, s, x, w, nullptr), gradient = backward_data(context, s, dy, w, {}),
                   weights = backward_weights(context, s, x, dy, {});
        if (!y.empty()) {
          CHECK_MESSAGE(got == y, name(s));
          CHECK_MESSAGE(gradient == dx, name(s));
          CHECK_MESSAGE(weights == dw, name(s));
        }
        y = got, dx = gradient, dw = weights;
      }
    });
  }
  omp_set_num_threads(before);
}

double rms_difference(const std::vector<real>& got, const std::vector<double>& exact) {
  double squares = 0;
  for (size_t i = 0; i < exact.size(); i++) squares += (got[i] - exact[i]) * (got[i] - exact[i]);
  return std::sqrt(squares / static_cast<double>(exact.size()));
}

// A sum of n rounded products, added in order, of independent normal numbers has an error of about u n / 3 at most for
// 1 < n < 10^4 (root mean square; each addition rounds a sum of size sqrt(i) by up to u, in either direction: u n /
// sqrt(6)). Winograd's sums are a ninth as long, of products whose factors are sums of four pixels and of nine weights.
TEST_CASE("panels: Winograd's errors are those of sums in order") {
  if (!std::is_same_v<storage, float>) return;
  for (const int c : {16, 64, 512}) {
    const ConvShape s{.n = 2, .h = 12, .w = 8, .c = c, .k = 32, .kh = 3, .kw = 3, .stride = 1, .pad = 1};
    const auto x = normals(s.input_count(), 1), w = normals(s.weight_count(), 2);
    std::vector<double> exact(static_cast<size_t>(s.output_count()));
    each_product(s, [&](size_t y, size_t i, size_t j) { exact[y] += double{x[i]} * double{w[j]}; });
    on_each_instruction_set([&](Context& context) {
      const double error = rms_difference(forward(context, s, x, w, nullptr), exact), bound = 0x1p-24 * 9 * c / 3;
      INFO("channels " << c << ", error " << error << ", bound " << bound);
      CHECK(error < bound);
      CHECK(error > 0);
    });
  }
}

// The same bound for gradients of weights, whose sums are over n pixels, a quarter as many for Winograd's algorithm.
TEST_CASE("panels: the errors of Winograd's gradients of weights are those of sums in order") {
  if (!std::is_same_v<storage, float>) return;
  for (const int n : {1, 8, 40}) {
    const ConvShape s{.n = n, .h = 12, .w = 8, .c = 16, .k = 32, .kh = 3, .kw = 3, .stride = 1, .pad = 1};
    const auto x = normals(s.input_count(), 1), dy = normals(s.output_count(), 2);
    std::vector<double> exact(static_cast<size_t>(s.weight_count()));
    each_product(s, [&](size_t y, size_t i, size_t j) { exact[j] += double{x[i]} * double{dy[y]}; });
    on_each_instruction_set([&](Context& context) {
      const double error = rms_difference(backward_weights(context, s, x, dy, {}), exact);
      const double bound = 0x1p-24 * n * s.oh() * s.ow() / 3;
      INFO("pictures " << n << ", error " << error << ", bound " << bound);
      CHECK(error < bound);
      CHECK(error > 0);
    });
  }
}

// The convolutions of kernels.inc take the one that is chosen.
TEST_CASE("panels: --conv native, auto and onednn") {
  const ConvShape s{.n = 1, .h = 6, .w = 5, .c = 64, .k = 64, .kh = 3, .kw = 3, .stride = 1, .pad = 1};
  ConvShape point = s;
  point.kh = point.kw = 1, point.pad = 0;
  const auto ran = [&](Provider provider, const std::map<std::string, std::string>& before = {}) {
    Context context(Backend::cpu, Guards::On);
    Vendors vendors;
    vendors.cpu_convolution = provider;
    vendors.choices = before;
    mpanet::cpu::set_vendors(context.stream(), vendors);
    for (const ConvShape& shape : {s, point})
      for (const ConvPass pass : {ConvPass::Forward, ConvPass::BackwardData, ConvPass::BackwardWeights})
        cpu::conv_workspace_bytes(context.stream(), shape, pass);
    return mpanet::cpu::vendors_of(context.stream()).choices;
  };
  for (const auto& [shape, provider] : ran(Provider::Native)) CHECK(provider == "native");
  const auto chosen = ran(Provider::Auto);
  if (chosen.empty()) {  // there is no oneDNN to choose
    CHECK_THROWS_AS(ran(Provider::Vendor), UserError);
    return;
  }
  CHECK(chosen.size() == 6);
  const std::string large = "cpu conv f32 backward weights 1x6x5x64 -> 64, 3x3, stride 1, pad 1";
  const std::string small = "cpu conv f32 forward 1x6x5x64 -> 64, 1x1, stride 1, pad 0";
  CHECK(chosen.at(large) == "native");
  CHECK(chosen.at(small) == "onednn");
  for (const auto& [shape, provider] : ran(Provider::Vendor)) CHECK(provider == "onednn");
  // Gradients of 1x1 weights of a middle size, without AVX-512.
  ConvShape middle = point;
  middle.c = 512, middle.k = 256;
  on_each_instruction_set([&](Context& context) {
    const bool wide = mpanet::cpu::panel_kernels().columns == 32;
    cpu::conv_workspace_bytes(context.stream(), middle, ConvPass::BackwardWeights);
    CHECK(mpanet::cpu::vendors_of(context.stream()).choices.begin()->second == (wide ? "onednn" : "native"));
  });
  // What a run folder has holds.
  const std::map<std::string, std::string> before = {{large, "onednn"}, {small, "native"}};
  CHECK(ran(Provider::Auto, before).at(large) == "onednn");
  CHECK(ran(Provider::Auto, before).at(small) == "native");
  // The bits are those of the chosen one.
  const auto x = normals(point.input_count(), 1), w = normals(point.weight_count(), 2);
  Context context(Backend::cpu, Guards::On);
  Vendors native;
  native.cpu_convolution = Provider::Native;
  mpanet::cpu::set_vendors(context.stream(), native);
  Convolution conv(context, point, w);
  const Stored input(context, x), y(context, point.output_count());
  conv.forward(input, {}, y.data());
  CHECK(y.values() == forward(context, point, x, w, nullptr));
}

}  // namespace
}  // namespace mpanet::PRECISION
