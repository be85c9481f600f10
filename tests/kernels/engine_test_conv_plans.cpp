// Convolution with every plan: each tile, one and several parts of the depth, each way of writing results, more and
// fewer steps than a pipeline has stages. Small shapes would choose few of these plans, so they are forced.
//
// Factors are normal numbers, rounded to storage. The reference t is the definition, in double, of exactly these
// numbers, in TF32 of these numbers rounded. The bound of an element is
//
//   2 (d + 4) u_real s   d terms are added in real in any order, then up to four operations of the epilogue; s is the
//                        sum of the terms' magnitudes. 2, because a tensor core may truncate where others round.
//   u_storage |t|        the rounding of the result, if it is stored as storage
#include <set>

#include "kernels/emu/control.h"
#include "tests/support/conv_test.h"
#include "tests/support/force_plan.h"

namespace mpanet::PRECISION {
namespace {

// The numbers as they are multiplied.
std::vector<real> operands(std::vector<real> values, bool tf32) {
  if (tf32)
    for (real& value : values) value = static_cast<real>(rounded_to_tf32(static_cast<double>(value)));
  return values;
}

// Under the emulation: the grids of all launches within its lifetime.
class Grids {
 public:
  Grids() {
    simt::watch_launches([this](const simt::LaunchShape& launch) {
      blocks_.push_back(launch.blocks);
      return true;
    });
  }
  ~Grids() { simt::watch_launches(nullptr); }
  Grids(const Grids&) = delete;
  Grids& operator=(const Grids&) = delete;
  uint64_t first() const { return blocks_.at(0); }

 private:
  std::vector<uint64_t> blocks_;
};

struct Definition {
  std::vector<double> sum, magnitude;
  double terms = 0;  // of an element, at most
};

// t and s for one pass. index(y, x, w): the result's element and the two factors'.
template <class Index>
Definition define(const ConvShape& s, int64_t count, double terms, const std::vector<real>& a,
                  const std::vector<real>& b, const Index& index) {
  Definition d{std::vector<double>(static_cast<size_t>(count)), std::vector<double>(static_cast<size_t>(count)), terms};
  each_product(s, [&](size_t y, size_t x, size_t w) {
    const auto [to, i, j] = index(y, x, w);
    const double product = static_cast<double>(a[i]) * static_cast<double>(b[j]);
    d.sum[to] += product;
    d.magnitude[to] += std::fabs(product);
  });
  return d;
}

void check_sums(const std::vector<real>& got, const Definition& d, bool stored, const std::string& what) {
  const double real_unit = sizeof(real) == 8 ? 0x1p-53 : 0x1p-24;
  REQUIRE(got.size() == d.sum.size());
  for (size_t i = 0; i < got.size(); i++) {
    const double error = std::fabs(static_cast<double>(got[i]) - d.sum[i]);
    const double may = 2 * (d.terms + 4) * real_unit * d.magnitude[i] +
                       (stored ? std::max(storage_rounding(), real_unit) * std::fabs(d.sum[i]) : 0);
    if (error <= may) continue;
    FAIL_CHECK(what << ": element " << i << ": got " << got[i] << ", expected " << d.sum[i] << " within " << may);
    return;
  }
}

// The epilogue in double.
Definition finished(Definition d, const std::vector<real>& scale, const std::vector<real>& shift,
                    const std::vector<real>& residual) {
  for (size_t i = 0; i < d.sum.size(); i++) {
    const size_t k = i % scale.size();
    d.sum[i] = d.sum[i] * scale[k] + shift[k] + residual[i];
    d.magnitude[i] = d.magnitude[i] * std::fabs(scale[k]) + std::fabs(shift[k]) + std::fabs(residual[i]);
    d.sum[i] = std::max(d.sum[i], 0.0);
  }
  return d;
}

Definition added(Definition d, const std::vector<real>& before) {
  for (size_t i = 0; i < d.sum.size(); i++) {
    d.sum[i] += before[i];
    d.magnitude[i] += std::fabs(before[i]);
  }
  return d;
}

// Checks a launch's number of blocks: the plan was used.
void check_blocks([[maybe_unused]] Context& context, const Grids& grids, const ForcedPlan& plan, int64_t m, int64_t n,
                  int classes, int64_t depth, const std::string& what) {
  if (context.backend() != Backend::emu || plan.tile_m == 0) return;
  const auto up = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
  const int64_t step = kHalf ? 32 : sizeof(real) == 8 ? 8 : 16;
  const int64_t chunk = up(up(depth, plan.splits), step) * step;
  const int64_t blocks = up(m, plan.tile_m) * up(n, plan.tile_n) * classes * up(depth, chunk);
  CHECK_MESSAGE(grids.first() == static_cast<uint64_t>(blocks), what);
}

TEST_CASE("the plans are those of each tile") {
  using Tiles = std::set<std::pair<int, int>>;
  on_each_stream([](Context& context, bool tf32) {
    for (const ConvPass pass : {ConvPass::Forward, ConvPass::BackwardData, ConvPass::BackwardWeights}) {
      Tiles of_loop[2];
      for (const ForcedPlan& plan : plans(context, kShapes[0], pass))
        of_loop[plan.loop == ConvLoop::Wgmma].insert({plan.tile_m, plan.tile_n});
      if (context.backend() == Backend::cpu)
        CHECK(of_loop[0] == Tiles{{0, 0}});
      else if (kHalf || tf32)
        CHECK(of_loop[0] == Tiles{{128, 128}, {128, 64}, {64, 128}, {64, 64}});
      else
        CHECK(of_loop[0] == Tiles{{128, 64}, {64, 64}, {32, 32}});
      const bool weights = pass == ConvPass::BackwardWeights;
      if (!of_loop[1].empty())
        CHECK(of_loop[1] == Tiles{{128, 256}, {128, 128}, weights ? std::pair{64, 128} : std::pair{256, 64}});
    }
  });
}

TEST_CASE("conv_forward with every plan") {
  for (const ConvShape& s : kShapes) {
    const std::vector<real> x = rounded(normals(s.input_count(), 1)), w = rounded(normals(s.weight_count(), 2));
    const std::vector<real> scale = normals(s.k, 3), shift = normals(s.k, 4, 0, 3);
    const std::vector<real> residual = rounded(normals(s.output_count(), 5, 0, 5));
    const int depth = s.kh * s.kw * s.c;
    on_each_stream([&](Context& context, bool tf32) {
      const Definition plain =
          define(s, s.output_count(), depth, operands(x, tf32), operands(w, tf32), [](size_t y, size_t i, size_t j) {
            return std::array{y, i, j};
          });
      const Definition all = finished(plain, scale, shift, residual);
      for (const ForcedPlan& plan : plans(context, s, ConvPass::Forward)) {
        const Force force(plan);
        const Grids grids;
        Convolution conv(context, s, w);
        const Stored input(context, x), rest(context, residual);
        const Reals scales(context, scale), shifts(context, shift);
        Stored y(context, s.output_count());
        conv.forward(input, {}, y.data());
        check_sums(y.values(), plain, true, text(s, plan, "no epilogue"));
        check_blocks(context, grids, plan, int64_t{s.n} * s.oh() * s.ow(), s.k, 1, depth, text(s, plan, "blocks"));
        conv.forward(input, {scales.data(), shifts.data(), rest.data(), true}, y.data());
        check_sums(y.values(), all, true, text(s, plan, "whole epilogue"));
      }
    });
  }
}

TEST_CASE("conv_backward_data with every plan") {
  for (const ConvShape& s : kShapes) {
    const std::vector<real> dy = rounded(normals(s.output_count(), 6)), w = rounded(normals(s.weight_count(), 2));
    const std::vector<real> before = rounded(normals(s.input_count(), 7, 0, 5));
    const auto up = [&](int size) { return (size + s.stride - 1) / s.stride; };
    const int depth = up(s.kh) * up(s.kw) * s.k;
    on_each_stream([&](Context& context, bool tf32) {
      const Definition set =
          define(s, s.input_count(), depth, operands(dy, tf32), operands(w, tf32), [](size_t y, size_t i, size_t j) {
            return std::array{i, y, j};
          });
      const Definition sum = added(set, before);
      for (const ForcedPlan& plan : plans(context, s, ConvPass::BackwardData)) {
        const Force force(plan);
        const Grids grids;
        Convolution conv(context, s, w);
        const Stored gradient(context, dy);
        Stored dx(context, s.input_count()), onto(context, before);
        conv.backward_data(gradient, dx.data(), Write::Set);
        check_sums(dx.values(), set, true, text(s, plan, "set"));
        check_blocks(context, grids, plan, int64_t{s.n} * up(s.h) * up(s.w), s.c, s.stride * s.stride, depth,
                     text(s, plan, "blocks"));
        conv.backward_data(gradient, onto.data(), Write::Add);
        check_sums(onto.values(), sum, true, text(s, plan, "added"));
      }
    });
  }
}

TEST_CASE("conv_backward_weights with every plan") {
  for (const ConvShape& s : kShapes) {
    const std::vector<real> x = rounded(normals(s.input_count(), 1)), dy = rounded(normals(s.output_count(), 6));
    const std::vector<real> before = normals(s.weight_count(), 7, 0, 5);
    const int depth = s.n * s.oh() * s.ow();
    on_each_stream([&](Context& context, bool tf32) {
      const Definition set =
          define(s, s.weight_count(), depth, operands(dy, tf32), operands(x, tf32), [](size_t y, size_t i, size_t j) {
            return std::array{j, y, i};
          });
      const Definition sum = added(set, before);
      for (const ForcedPlan& plan : plans(context, s, ConvPass::BackwardWeights)) {
        const Force force(plan);
        const Grids grids;
        Convolution conv(context, s, std::vector<real>(before.size()));
        const Stored input(context, x), gradient(context, dy);
        Reals dw(context, s.weight_count()), later(context, s.weight_count()), onto(context, before);
        conv.backward_weights(input, gradient, dw.data(), Write::Set);
        check_sums(dw.values(), set, false, text(s, plan, "set"));
        const bool split = plan.splits > 1 && depth > 128;  // a part is 128 deep at least
        if (conv.backward_weights_later(input, gradient, later.data()))
          check_exact(later.values(), dw.values(), text(s, plan, "splits added later"));
        else
          CHECK_MESSAGE(!split, text(s, plan, "no splits to add later"));
        check_blocks(context, grids, plan, s.k, s.kh * s.kw * s.c, 1, depth, text(s, plan, "blocks"));
        conv.backward_weights(input, gradient, onto.data(), Write::Add);
        check_sums(onto.values(), sum, false, text(s, plan, "added"));
      }
    });
  }
}

// To count a large batch's work on a small one. Forward: few pixels have few tiles, so their depth is split; many are
// not. Weights: many pixels are split into more parts.
TEST_CASE("convolution with the plan of a larger batch") {
  const ConvShape s{.n = 8, .h = 8, .w = 4, .c = 256, .k = 64, .kh = 3, .kw = 3, .stride = 1, .pad = 1};
  const std::vector<real> x = rounded(normals(s.input_count(), 1)), w = rounded(normals(s.weight_count(), 2));
  const std::vector<real> dy = rounded(normals(s.output_count(), 6));
  on_each_stream([&](Context& context, bool tf32) {
    if (context.backend() == Backend::cpu) return;
    const std::vector<real> xs = operands(x, tf32), ws = operands(w, tf32), dys = operands(dy, tf32);
    const Definition y_defined =
        define(s, s.output_count(), s.kh * s.kw * s.c, xs, ws, [](size_t y, size_t i, size_t j) {
          return std::array{y, i, j};
        });
    const Definition dw_defined =
        define(s, s.weight_count(), s.n * s.oh() * s.ow(), dys, xs, [](size_t y, size_t i, size_t j) {
          return std::array{j, y, i};
        });
    const auto workspace = [&](ConvPass pass) {
      return ON_BACKEND(context.backend(), conv_workspace_bytes(context.stream(), s, pass));
    };
    const size_t own_forward = workspace(ConvPass::Forward), own_weights = workspace(ConvPass::BackwardWeights);
    CHECK(own_forward > 0);
    const ForcedPlan large{.batch = 4096};
    const Force force(large);
    CHECK(workspace(ConvPass::Forward) == 0);
    CHECK(workspace(ConvPass::BackwardWeights) > own_weights);
    Convolution conv(context, s, w);
    const Stored input(context, x), gradient(context, dy);
    Stored y(context, s.output_count());
    conv.forward(input, {}, y.data());
    check_sums(y.values(), y_defined, true, text(s, large, "forward"));
    Reals dw(context, s.weight_count());
    conv.backward_weights(input, gradient, dw.data(), Write::Set);
    check_sums(dw.values(), dw_defined, false, text(s, large, "weights"));
  });
}

// Widths that packs fit, at addresses that they do not.
void check_unaligned(const ConvShape& s) {
  const std::vector<real> x = integers(s.input_count(), 1), w = integers(s.weight_count(), 2);
  const std::vector<real> dy = integers(s.output_count(), 6);
  std::vector<real> y(static_cast<size_t>(s.output_count())), dx(x.size()), dw(w.size());
  each_product(s, [&](size_t o, size_t i, size_t j) {
    y[o] += x[i] * w[j];
    dx[i] += dy[o] * w[j];
    dw[j] += dy[o] * x[i];
  });
  on_each_stream([&](Context& context, bool) {
    for (const size_t shift : {1, 2, 4}) {
      Convolution conv(context, s, w, shift);
      const Stored input(context, x, shift), gradient(context, dy, shift);
      Stored to(context, std::vector<real>(y.size()), shift), back(context, std::vector<real>(x.size()), shift);
      Reals weights(context, std::vector<real>(w.size()), shift);
      conv.forward(input, {}, to.data());
      check_exact(to.values(), rounded(y), fmt::format("forward, {} elements from alignment", shift));
      conv.backward_data(gradient, back.data(), Write::Set);
      check_exact(back.values(), rounded(dx), fmt::format("backward data, {} elements from alignment", shift));
      conv.backward_weights(input, gradient, weights.data(), Write::Set);
      check_exact(weights.values(), dw, fmt::format("backward weights, {} elements from alignment", shift));
    }
  });
}

// The second shape's own plan is one of wgmma, where there is one, with several splits; the third's one of the stem.
TEST_CASE("convolution at unaligned addresses") {
  check_unaligned(kShapes[2]);
  check_unaligned({.n = 3, .h = 21, .w = 24, .c = 3, .k = 64, .kh = 7, .kw = 7, .stride = 2, .pad = 3});
  check_unaligned({.n = 2, .h = 9, .w = 7, .c = 72, .k = 80, .kh = 3, .kw = 3, .stride = 2, .pad = 1});
}

}  // namespace
}  // namespace mpanet::PRECISION
