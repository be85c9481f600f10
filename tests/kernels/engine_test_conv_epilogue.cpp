// kernels/cuda/conv_epilogue.cu under the emulation. Values are integers and compared exactly.
#include "kernels/cuda/conv_epilogue.h"
#include "tests/support/kernel_test.h"

namespace mpanet::PRECISION {
namespace {

#if defined(MPANET_HAS_EMU)

struct Case {
  int rows, k;
  bool scale, shift, residual, relu;
};

void check_finish(const Case& c) {
  const int64_t count = int64_t{c.rows} * c.k;
  const std::vector<real> y = integers(count, 1), residual = integers(count, 2), scale = integers(c.k, 3),
                          shift = integers(c.k, 4);
  std::vector<real> expected = y;
  for (int64_t i = 0; i < count; i++) {
    real& v = expected[static_cast<size_t>(i)];
    const auto channel = static_cast<size_t>(i % c.k);
    if (c.scale) v *= scale[channel];
    if (c.shift) v += shift[channel];
    if (c.residual) v += residual[static_cast<size_t>(i)];
    if (c.relu && v < 0) v = 0;
  }
  Context context(Backend::emu, Guards::On);
  const Stored got(context, y), other(context, residual);
  const Reals scales(context, scale), shifts(context, shift);
  emu::finish_convolution(context.stream(), got.data(), c.rows, c.k,
                          {c.scale ? scales.data() : nullptr, c.shift ? shifts.data() : nullptr,
                           c.residual ? other.data() : nullptr, c.relu});
  check_exact(got.values(), expected, fmt::format("{} x {}", c.rows, c.k));
}

TEST_CASE("a convolution's epilogue: each part alone, all together, packs and odd channels") {
  for (const int k : {1, 7, 16, 64})
    for (const Case& c : {Case{5, k, true, false, false, false}, Case{5, k, false, true, false, false},
                          Case{5, k, false, false, true, false}, Case{37, k, false, false, false, true},
                          Case{37, k, true, true, true, true}})
      check_finish(c);
}

TEST_CASE("a gradient in storage becomes real, set or added") {
  for (const int64_t count : {int64_t{1}, int64_t{9}, int64_t{4096}}) {
    const std::vector<real> from = integers(count, 5), before = integers(count, 6);
    std::vector<real> sums = before;
    for (size_t i = 0; i < sums.size(); i++) sums[i] += from[i];
    Context context(Backend::emu, Guards::On);
    const Stored gradient(context, from);
    const Reals got(context, before);
    emu::widen(context.stream(), gradient.data(), got.data(), count, Write::Add);
    check_exact(got.values(), sums, "added");
    emu::widen(context.stream(), gradient.data(), got.data(), count, Write::Set);
    check_exact(got.values(), from, "set");
  }
}

#else

TEST_CASE("a convolution's epilogue" * doctest::skip()) { MESSAGE("skipped: this build has no emu backend"); }

#endif

}  // namespace
}  // namespace mpanet::PRECISION
