// Batch norm against long double, with means far from zero, more rows than a tile has, and odd widths.
#include <omp.h>

#include "tests/support/kernel_test.h"

namespace mpanet::PRECISION {
namespace {

using Wide = std::vector<long double>;

constexpr bool kDouble = sizeof(real) == 8;
constexpr real kEps = real(1e-5);

struct Case {
  int64_t rows;
  int c;
};
// A tile has 65536 / c rows: one tile, several, a short last one; slices of 64 and 1024 channels with remainders.
const Case kCases[] = {{2, 1}, {196, 3}, {1000, 64}, {9000, 16}, {3072, 130}, {5, 2049}, {33, 2048}, {70, 1024}};

std::string name(const Case& s) { return std::to_string(s.rows) + " x " + std::to_string(s.c); }

struct Truth {
  Wide mean, variance;

  Truth(const std::vector<real>& x, const Case& s) : mean(static_cast<size_t>(s.c)), variance(mean) {
    for (size_t i = 0; i < x.size(); i++) mean[i % mean.size()] += x[i];
    for (long double& value : mean) value /= static_cast<long double>(s.rows);
    for (size_t i = 0; i < x.size(); i++) {
      const long double d = x[i] - mean[i % mean.size()];
      variance[i % mean.size()] += d * d / static_cast<long double>(s.rows);
    }
  }
};

// Statistics of x, rounded to real like the kernels' arguments.
struct Statistics {
  std::vector<real> mean, variance;

  explicit Statistics(const Truth& truth)
      : mean(truth.mean.begin(), truth.mean.end()), variance(truth.variance.begin(), truth.variance.end()) {}
  long double normalised(real x, size_t c) const { return (static_cast<long double>(x) - mean[c]) * rstd(c); }
  long double rstd(size_t c) const { return 1 / std::sqrt(static_cast<long double>(variance[c]) + kEps); }
};

TEST_CASE("batch_norm_statistics does not cancel") {
  on_each_device([&](Context& context) {
    for (const Case& s : kCases) {
      const std::vector<real> x = rounded(normals(s.rows * s.c, 1, 1e4));
      const Stored input(context, x);
      const Truth truth(x, s);
      Bytes work(context, static_cast<int64_t>(ASK_BACKEND(context, batch_norm_workspace_bytes(s.rows, s.c))));
      Reals mean(context, s.c), variance(context, s.c), running_mean(context, s.c, 2),
          running_variance(context, s.c, 3);
      RUN_ON(context,
             batch_norm_statistics(context.stream(), input.data(), s.rows, s.c, real(0.1), mean.data(), variance.data(),
                                   running_mean.data(), running_variance.data(), work.data()));
      // The mean is right to two ulps. The variance is 1 with a squared mean of 1e8: E[x^2] - E[x]^2 would be wrong by
      // 1e8 ulps, which is more than 1 in float.
      const double ulp = kDouble ? 2.3e-16 : 1.2e-7;
      check_close(mean.values(), truth.mean, 2 * ulp, name(s) + " mean");
      check_close(variance.values(), truth.variance, kDouble ? 1e-12 : 1e-5, name(s) + " variance", 0.01);
      Wide expected_mean = truth.mean, expected_variance = truth.variance;
      for (long double& value : expected_mean) value = 0.9L * 2 + 0.1L * value;
      for (long double& value : expected_variance)
        value = 0.9L * 3 + 0.1L * value * static_cast<long double>(s.rows) / static_cast<long double>(s.rows - 1);
      check_close(running_mean.values(), expected_mean, 4 * ulp, name(s) + " running mean");
      check_close(running_variance.values(), expected_variance, kDouble ? 1e-12 : 1e-5, name(s) + " running variance");
      // The same without running statistics.
      Reals again(context, s.c), spread(context, s.c);
      RUN_ON(context, batch_norm_statistics(context.stream(), input.data(), s.rows, s.c, real(0.1), again.data(),
                                            spread.data(), nullptr, nullptr, work.data()));
      check_exact(again.values(), mean.values(), name(s));
      check_exact(spread.values(), variance.values(), name(s));
    }
  });
}

// A norm's arguments in device memory.
struct Arguments {
  Stored x;
  Reals mean, variance, weight, bias;

  Arguments(Context& context, const std::vector<real>& values, const Statistics& s, const std::vector<real>& weights,
            const std::vector<real>& biases)
      : x(context, values),
        mean(context, s.mean),
        variance(context, s.variance),
        weight(context, weights),
        bias(context, biases) {}
  NormInput input() const { return {x.data(), mean.data(), variance.data(), weight.data(), bias.data()}; }
};

std::vector<unsigned char> signs_of(const std::vector<real>& y) {
  std::vector<unsigned char> signs((y.size() + 7) / 8);
  for (size_t i = 0; i < y.size(); i++)
    if (y[i] > 0) signs[i / 8] = static_cast<unsigned char>(signs[i / 8] | 1u << i % 8);
  return signs;
}

TEST_CASE("batch_norm_apply") {
  on_each_device([&](Context& context) {
    const NormFeatures features = ASK_BACKEND(context, batch_norm_features());
    for (const Case& s : kCases) {
      const std::vector<real> x = rounded(normals(s.rows * s.c, 1, 3, 2)), residual = rounded(normals(s.rows * s.c, 2));
      const std::vector<real> weight = normals(s.c, 3), bias = normals(s.c, 4);
      const std::vector<real> x2 = rounded(normals(s.rows * s.c, 5, -2)), weight2 = normals(s.c, 6);
      const Statistics statistics{Truth(x, s)}, statistics2{Truth(x2, s)};
      const Arguments norm(context, x, statistics, weight, bias), joined(context, x2, statistics2, weight2, weight);
      const Stored rest(context, residual);
      for (const Flags& flags : combinations({"relu", "residual", "joined"})) {
        const bool relu = flags["relu"], added = flags["residual"], join = flags["joined"];
        if (join && (added || !features.join)) continue;
        Wide expected(x.size());
        for (size_t i = 0; i < x.size(); i++) {
          const size_t c = i % static_cast<size_t>(s.c);
          long double y = statistics.normalised(x[i], c) * weight[c] + bias[c] + (added ? residual[i] : 0);
          if (join) y += statistics2.normalised(x2[i], c) * weight2[c] + weight[c];
          expected[i] = relu && y < 0 ? 0 : y;
        }
        Stored y(context, s.rows * s.c);
        const bool sign = relu && features.signs;
        Bytes signs(context, sign ? (s.rows * s.c + 7) / 8 : 1);
        RUN_ON(context,
               batch_norm_apply(context.stream(), s.rows, s.c, kEps, norm.input(), join ? joined.input() : NormInput{},
                                added ? rest.data() : nullptr, relu, y.data(), sign ? signs.data() : nullptr));
        // The second norm is rounded before it is added; it is below 10.
        const double tolerance = (kDouble ? 1e-13 : 5e-6) + (join ? storage_rounding() : 0);
        check_close(y.values(), expected, tolerance, name(s) + ", " + flags.text(), 10, storage_rounding());
        if (sign) CHECK_MESSAGE(signs.values() == signs_of(y.values()), name(s) << ", " << flags.text());
      }
      // Folded: x * scale + shift is the same.
      Reals scale(context, s.c), shift(context, s.c);
      RUN_ON(context, batch_norm_fold(context.stream(), s.c, norm.mean.data(), norm.variance.data(), kEps,
                                      norm.weight.data(), norm.bias.data(), scale.data(), shift.data()));
      Wide expected_scale(weight.size()), expected_shift(weight.size());
      for (size_t c = 0; c < weight.size(); c++) {
        expected_scale[c] = weight[c] * statistics.rstd(c);
        expected_shift[c] = bias[c] - statistics.mean[c] * expected_scale[c];
      }
      check_close(scale.values(), expected_scale, kDouble ? 1e-14 : 1e-6, name(s) + " scale", 10);
      check_close(shift.values(), expected_shift, kDouble ? 1e-14 : 1e-6, name(s) + " shift", 10);
    }
  });
}

// The results of a norm's backward, in device memory. dweight is added to 4, dbias is set.
struct Results {
  Reals sum_gn, dweight, dbias;
  Stored dx;

  Results(Context& context, const Case& s, const std::vector<real>& before)
      : sum_gn(context, s.c), dweight(context, s.c, 4), dbias(context, s.c), dx(context, before) {}
  NormGradient gradient(Write dx_write, bool frozen = false) const {
    NormGradient to{.sum_gn = sum_gn.data(), .dx = dx.data(), .dx_write = dx_write};
    if (frozen) return to;
    to.dweight = dweight.data(), to.dweight_write = Write::Add;
    to.dbias = dbias.data(), to.dbias_write = Write::Set;
    return to;
  }
};

// Sums over rows of g and g n, and dx, in long double.
struct TrueGradient {
  Wide sum_g, sum_gn;

  TrueGradient(const Wide& g, const std::vector<real>& x, const Statistics& statistics, const Case& s)
      : sum_g(static_cast<size_t>(s.c)), sum_gn(sum_g), rows_(static_cast<long double>(s.rows)) {
    for (size_t i = 0; i < g.size(); i++) {
      const size_t c = i % sum_g.size();
      sum_g[c] += g[i];
      sum_gn[c] += g[i] * statistics.normalised(x[i], c);
    }
  }
  Wide dx(const Wide& g, const std::vector<real>& x, const Statistics& statistics, const std::vector<real>& weight,
          bool training) const {
    Wide dx(g.size());
    for (size_t i = 0; i < g.size(); i++) {
      const size_t c = i % sum_g.size();
      long double inner = g[i];
      if (training) inner -= sum_g[c] / rows_ + statistics.normalised(x[i], c) * sum_gn[c] / rows_;
      dx[i] = weight[c] * statistics.rstd(c) * inner;
    }
    return dx;
  }

 private:
  long double rows_;
};

// The sums of a norm's backward and what is made of them; sums of up to 9000 terms of size 1.
void check_sums(const Results& results, const TrueGradient& expected, const std::string& what) {
  const double tolerance = kDouble ? 1e-13 : 2e-6;
  check_close(results.sum_gn.values(), expected.sum_gn, tolerance, what + " sum gn", 100);
  check_close(results.dbias.values(), expected.sum_g, tolerance, what + " dbias", 100);
  Wide dweight = expected.sum_gn;
  for (long double& value : dweight) value += 4;
  check_close(results.dweight.values(), dweight, tolerance, what + " dweight", 100);
}

// The ReLU's mask as the backend takes it.
struct Mask {
  Stored y;
  Bytes signs;
  bool bits;

  Mask(Context& context, const std::vector<real>& values)
      : y(context, values), signs(context, signs_of(values)), bits(ASK_BACKEND(context, batch_norm_features()).signs) {}
  ReluMask get() const { return bits ? ReluMask{nullptr, signs.data()} : ReluMask{y.data(), nullptr}; }
};

Wide masked(const std::vector<real>& dy, const std::vector<real>& y, bool relu) {
  Wide g(dy.size());
  for (size_t i = 0; i < g.size(); i++) g[i] = relu && !(y[i] > 0) ? 0 : dy[i];
  return g;
}

TEST_CASE("batch norm backward") {
  on_each_device([&](Context& context) {
    for (const Case& s : kCases) {
      const std::vector<real> x = rounded(normals(s.rows * s.c, 1, 3, 2)), dy = rounded(normals(s.rows * s.c, 2));
      const std::vector<real> y = integers(s.rows * s.c, 3), weight = normals(s.c, 4);  // y: only its sign counts
      const std::vector<real> before = rounded(normals(s.rows * s.c, 5));
      const Statistics statistics{Truth(x, s)};
      const Stored gradient(context, dy);
      const Arguments norm(context, x, statistics, weight, weight);
      const Mask mask(context, y);
      for (const Flags& flags : combinations({"relu", "training", "add", "in place"})) {
        const bool relu = flags["relu"], training = flags["training"], add = flags["add"], in_place = flags["in place"];
        const std::string what = name(s) + ", " + flags.text();
        Wide g = masked(dy, y, relu);
        const TrueGradient truth(g, x, statistics, s);
        Bytes work(context, static_cast<int64_t>(ASK_BACKEND(context, batch_norm_workspace_bytes(s.rows, s.c))));
        Reals sum_g(context, s.c);
        const ReluMask passes = relu ? mask.get() : ReluMask{};
        const Results results(context, s, add ? before : in_place ? x : std::vector<real>(x.size(), 55));
        const NormGradient to = results.gradient(add ? Write::Add : Write::Set);
        RUN_ON(context, batch_norm_backward_reduce(context.stream(), gradient.data(), passes, s.rows, s.c, kEps,
                                                   norm.input(), to, {}, {}, sum_g.data(), work.data()));
        check_close(sum_g.values(), truth.sum_g, kDouble ? 1e-13 : 2e-6, what + " sum g", 100);
        check_sums(results, truth, what);

        Wide expected = truth.dx(g, x, statistics, weight, training);
        for (size_t i = 0; add && i < g.size(); i++) expected[i] += before[i];
        const Stored residual(context, in_place ? dy : before);
        NormInput input = norm.input();
        if (in_place && !add) input.x = to.dx;
        RUN_ON(context,
               batch_norm_backward_apply(context.stream(), in_place ? residual.data() : gradient.data(), passes, s.rows,
                                         s.c, kEps, input, to, {}, {}, training ? sum_g.data() : nullptr,
                                         residual.data(), in_place ? Write::Set : Write::Add));
        check_close(results.dx.values(), expected, kDouble ? 1e-11 : 2e-5, what + " dx", 10, storage_rounding());
        if (!in_place)
          for (size_t i = 0; i < g.size(); i++) g[i] += before[i];
        check_close(residual.values(), g, kDouble ? 1e-15 : 1e-6, what + " dresidual", 1, storage_rounding());
      }
    }
  });
}

// Both norms' results, in place, from one gradient. Frozen parameters: null instead of dweight and dbias.
TEST_CASE("batch norm backward of the sum of two norms") {
  on_each_device([&](Context& context) {
    if (!ASK_BACKEND(context, batch_norm_features()).join) return;
    for (const Case& s : kCases) {
      const std::vector<real> x = rounded(normals(s.rows * s.c, 1, 3, 2)), x2 = rounded(normals(s.rows * s.c, 2, -2));
      const std::vector<real> dy = rounded(normals(s.rows * s.c, 3)), y = integers(s.rows * s.c, 4);
      const std::vector<real> weight = normals(s.c, 5), weight2 = normals(s.c, 6);
      const Statistics statistics{Truth(x, s)}, statistics2{Truth(x2, s)};
      const Arguments norm(context, x, statistics, weight, weight), joined(context, x2, statistics2, weight2, weight2);
      const Stored gradient(context, dy);
      const Mask mask(context, y);
      for (const Flags& flags : combinations({"relu", "training", "frozen"})) {
        const bool relu = flags["relu"], training = flags["training"], frozen = flags["frozen"];
        const std::string what = name(s) + ", " + flags.text();
        const Wide g = masked(dy, y, relu);
        const TrueGradient truth(g, x, statistics, s), truth2(g, x2, statistics2, s);
        Bytes work(context, static_cast<int64_t>(ASK_BACKEND(context, batch_norm_workspace_bytes(s.rows, s.c))));
        Reals sum_g(context, s.c);
        const Results results(context, s, x), results2(context, s, x2);
        const NormGradient to = results.gradient(Write::Set, frozen), to2 = results2.gradient(Write::Set);
        NormInput input = norm.input(), input2 = joined.input();
        input.x = to.dx, input2.x = to2.dx;
        const ReluMask passes = relu ? mask.get() : ReluMask{};
        RUN_ON(context, batch_norm_backward_reduce(context.stream(), gradient.data(), passes, s.rows, s.c, kEps, input,
                                                   to, input2, to2, sum_g.data(), work.data()));
        check_close(sum_g.values(), truth.sum_g, kDouble ? 1e-13 : 2e-6, what + " sum g", 100);
        if (!frozen) check_sums(results, truth, what);
        if (frozen) check_exact(results.dweight.values(), std::vector<real>(weight.size(), 4), what + " dweight");
        check_sums(results2, truth2, what + ", second");
        RUN_ON(context,
               batch_norm_backward_apply(context.stream(), gradient.data(), passes, s.rows, s.c, kEps, input, to,
                                         input2, to2, training ? sum_g.data() : nullptr, nullptr, Write::Set));
        const double tolerance = kDouble ? 1e-11 : 2e-5;
        check_close(results.dx.values(), truth.dx(g, x, statistics, weight, training), tolerance, what + " dx", 10,
                    storage_rounding());
        check_close(results2.dx.values(), truth2.dx(g, x2, statistics2, weight2, training), tolerance,
                    what + " second dx", 10, storage_rounding());
      }
    }
  });
}

TEST_CASE("batch norm does not depend on the number of threads") {
  const Case s{9001, 67};
  const std::vector<real> x = rounded(normals(s.rows * s.c, 1, 3, 2)), dy = rounded(normals(s.rows * s.c, 2));
  std::vector<real> first[4];
  const int threads = omp_get_max_threads();
  for (const int count : {1, 2, 3}) {
    omp_set_num_threads(count);
    Context context(Backend::cpu, Guards::On);
    const Stored input(context, x), gradient(context, dy);
    Bytes work(context, static_cast<int64_t>(ASK_BACKEND(context, batch_norm_workspace_bytes(s.rows, s.c))));
    Reals mean(context, s.c), variance(context, s.c), sum_g(context, s.c), sum_gn(context, s.c);
    const NormInput norm{input.data(), mean.data(), variance.data(), nullptr, nullptr};
    RUN_ON(context, batch_norm_statistics(context.stream(), input.data(), s.rows, s.c, real(0.1), mean.data(),
                                          variance.data(), nullptr, nullptr, work.data()));
    RUN_ON(context, batch_norm_backward_reduce(context.stream(), gradient.data(), {}, s.rows, s.c, kEps, norm,
                                               {.sum_gn = sum_gn.data()}, {}, {}, sum_g.data(), work.data()));
    const std::vector<real> now[4] = {mean.values(), variance.values(), sum_g.values(), sum_gn.values()};
    for (int i = 0; i < 4; i++) {
      if (count == 1) first[i] = now[i];
      check_exact(now[i], first[i], std::to_string(count) + " threads, result " + std::to_string(i));
    }
  }
  omp_set_num_threads(threads);
}

TEST_CASE("feature norm, training and evaluation") {
  on_each_device([&](Context& context) {
    const Case cases[] = {{2, 1}, {7, 65}, {16, 896}};
    for (const Case& s : cases) {
      const int n = static_cast<int>(s.rows);
      const auto width = static_cast<size_t>(s.c);
      const std::vector<real> f = normals(s.rows * s.c, 1, 3, 2), dg = normals(s.rows * s.c, 2);
      const std::vector<real> weight = normals(s.c, 3), bias = normals(s.c, 4), before = normals(s.rows * s.c, 5);
      const Reals input(context, f), gradient(context, dg), weights(context, weight), biases(context, bias);
      for (const bool training : {true, false}) {
        const std::string what = name(s) + (training ? " training" : " evaluation");
        const std::vector<real> old_mean = normals(s.c, 6), old_variance(width, real(1.5));
        Reals running_mean(context, old_mean), running_variance(context, old_variance), mean(context, s.c),
            rstd(context, s.c), g(context, s.rows * s.c);
        RUN_ON(context, feature_norm_forward(context.stream(), input.data(), n, s.c, training, kEps, real(0.1),
                                             weights.data(), biases.data(), running_mean.data(),
                                             running_variance.data(), mean.data(), rstd.data(), g.data()));
        const Truth truth(f, s);
        Wide m = truth.mean, r(width), expected(f.size()), normalised(f.size()), dweight(width), dbias(width);
        Wide after_mean(old_mean.begin(), old_mean.end()), after_variance(old_variance.begin(), old_variance.end());
        for (size_t c = 0; c < width; c++) {
          if (!training) m[c] = old_mean[c];
          r[c] = 1 / std::sqrt((training ? truth.variance[c] : old_variance[c]) + kEps);
          if (!training) continue;
          after_mean[c] = 0.9L * after_mean[c] + 0.1L * truth.mean[c];
          after_variance[c] = 0.9L * after_variance[c] + 0.1L * truth.variance[c] * n / (n - 1);
        }
        for (size_t i = 0; i < f.size(); i++) {
          const size_t c = i % width;
          normalised[i] = (f[i] - m[c]) * r[c];
          expected[i] = normalised[i] * weight[c] + bias[c];
          dweight[c] += dg[i] * normalised[i];
          dbias[c] += dg[i];
        }
        // If two rows are close to each other, rstd is large and magnifies the rounding of f.
        const double tolerance = kDouble ? 1e-11 : 1e-4;
        check_close(g.values(), expected, tolerance, what + " g");
        check_close(mean.values(), m, tolerance, what + " mean");
        check_close(rstd.values(), r, tolerance, what + " rstd");
        check_close(running_mean.values(), after_mean, tolerance, what + " running mean");
        check_close(running_variance.values(), after_variance, tolerance, what + " running variance");

        Wide df(f.size());
        for (size_t i = 0; i < f.size(); i++) {
          const size_t c = i % width;
          const long double flow = training ? dbias[c] / n + normalised[i] * dweight[c] / n : 0;
          df[i] = weight[c] * r[c] * (dg[i] - flow) + before[i];
        }
        Reals got(context, before), got_weight(context, s.c), got_bias(context, s.c, 4);
        RUN_ON(context, feature_norm_backward(context.stream(), gradient.data(), input.data(), n, s.c, training,
                                              weights.data(), mean.data(), rstd.data(), got.data(), Write::Add,
                                              got_weight.data(), Write::Set, got_bias.data(), Write::Add));
        for (long double& value : dbias) value += 4;
        check_close(got.values(), df, kDouble ? 1e-10 : 1e-3, what + " df");
        check_close(got_weight.values(), dweight, tolerance, what + " dweight");
        check_close(got_bias.values(), dbias, tolerance, what + " dbias");
        // Frozen parameters: the gradients of weight and bias may be null.
        Reals alone(context, s.rows * s.c);
        RUN_ON(context, feature_norm_backward(context.stream(), gradient.data(), input.data(), n, s.c, training,
                                              weights.data(), mean.data(), rstd.data(), alone.data(), Write::Set,
                                              nullptr, Write::Set, nullptr, Write::Set));
        for (size_t i = 0; i < df.size(); i++) df[i] -= before[i];
        check_close(alone.values(), df, kDouble ? 1e-10 : 1e-3, what + " df alone");
      }
    }
  });
}

}  // namespace
}  // namespace mpanet::PRECISION
