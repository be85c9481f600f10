// What the epilogues of convolutions compute for batch norms, with every plan: statistics of the output, and the gated
// sums of a gradient. The references are the definitions, in long double, of the numbers that the convolution stored.
// The same bounds hold for the kernels that read them from memory instead. n rows, u the unit roundoff of real:
//
//   mean       4 u |mean| + n u R           R: the largest difference of two values, which bounds every partial mean
//   variance   16 (n + 8) u variance        squared deviations are wrong by 2 d times the mean's error, R below 8 sigma
//   sums       2 (n + 8) u (sum of |terms|) n additions in any order, and a few roundings of each term
#include "tests/support/force_plan.h"
#include "tests/support/schedules.h"

namespace mpanet::PRECISION {
namespace {

using Wide = std::vector<long double>;

constexpr real kEps = real(1e-5);
constexpr double kUnit = sizeof(real) == 8 ? 0x1p-53 : 0x1p-24;

// Fails with the first element that is wrong by more than `may`.
void check_within(const std::vector<real>& got, const Wide& expected, const Wide& may, const std::string& what) {
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); i++) {
    const long double error = std::fabs(static_cast<long double>(got[i]) - expected[i]);
    if (error <= may[i]) continue;
    FAIL_CHECK(what << ": element " << i << ": got " << got[i] << ", expected " << static_cast<double>(expected[i])
                    << " within " << static_cast<double>(may[i]));
    return;
  }
}

// Statistics over the rows of (rows, c), and the bounds of their errors.
struct Statistics {
  Wide mean, variance, mean_error, variance_error;

  Statistics(const std::vector<real>& y, int64_t rows, int c) {
    for (int k = 0; k < c; k++) {
      const auto value = [&](int64_t row) { return static_cast<long double>(y[static_cast<size_t>(row * c + k)]); };
      const auto n = static_cast<long double>(rows);
      long double sum = 0, squares = 0, least = value(0), most = value(0);
      for (int64_t row = 0; row < rows; row++) {
        sum += value(row);
        least = std::min(least, value(row));
        most = std::max(most, value(row));
      }
      const long double m = sum / n;
      for (int64_t row = 0; row < rows; row++) squares += (value(row) - m) * (value(row) - m);
      mean.push_back(m);
      variance.push_back(squares / n);
      mean_error.push_back(4 * kUnit * std::fabs(m) + n * kUnit * (most - least));
      variance_error.push_back(16 * (n + 8) * kUnit * squares / n);
    }
  }
};

// A moving average: 0.9 before + 0.1 new, and the bound of its error.
Wide running(const Wide& values, double before, long double factor) {
  Wide averages;
  for (const long double value : values) averages.push_back(0.9L * before + 0.1L * factor * value);
  return averages;
}
Wide running_error(const Wide& errors, const Wide& averages) {
  Wide may;
  for (size_t i = 0; i < errors.size(); i++) may.push_back(errors[i] + 4 * kUnit * std::fabs(averages[i]));
  return may;
}

// Whether a plan has sums in its epilogue: it does not split the depth.
bool expects_sums(const Context& context, Convolution& conv, ConvPass pass) {
  return context.backend() != Backend::cpu && conv.work_bytes(pass) == 0;
}

// The means of the output are 14 to 250 times its deviations: E[x^2] - E[x]^2 would be wrong by more than the bounds,
// and so would be the mean of values before they are rounded to 16 bits.
void check_statistics(Context& context, const ConvShape& s, const ForcedPlan& plan, const std::vector<real>& x,
                      const std::vector<real>& w) {
  const Force force(plan);
  Convolution conv(context, s, w);
  const EpilogueSums sums = conv.sums(ConvPass::Forward);
  CHECK_MESSAGE(sums.available == expects_sums(context, conv, ConvPass::Forward), text(s, plan, "available"));
  if (!sums.available) return;
  const int64_t rows = s.output_count() / s.k;
  CHECK_MESSAGE(sums.parts == (rows + sums.height - 1) / sums.height, text(s, plan, "parts"));
  const Stored input(context, x);
  const Stored plain(context, s.output_count()), y(context, s.output_count());
  conv.forward(input, {}, plain.data());
  const Reals moments(context, int64_t{sums.parts} * 2 * s.k);
  conv.forward(input, {.moments = moments.data()}, y.data());
  check_exact(y.values(), plain.values(), text(s, plan, "output"));

  const Statistics truth(y.values(), rows, s.k);
  const auto check = [&](const std::string& route, const auto& compute) {
    const Reals mean(context, s.k), variance(context, s.k), running_mean(context, s.k, 2),
        running_variance(context, s.k, 3);
    compute(mean.data(), variance.data(), running_mean.data(), running_variance.data());
    const std::string what = text(s, plan, route);
    check_within(mean.values(), truth.mean, truth.mean_error, what + " mean");
    check_within(variance.values(), truth.variance, truth.variance_error, what + " variance");
    const auto n = static_cast<long double>(rows);
    const Wide means = running(truth.mean, 2, 1), variances = running(truth.variance, 3, n / (n - 1));
    check_within(running_mean.values(), means, running_error(truth.mean_error, means), what + " running mean");
    check_within(running_variance.values(), variances, running_error(truth.variance_error, variances),
                 what + " running variance");
  };
  check("epilogue", [&](real* mean, real* variance, real* running_mean, real* running_variance) {
    const NormStatistics own{moments.data(), sums, rows, s.k, mean, variance, running_mean, running_variance};
    RUN_ON(context, batch_norm_finish_statistics(context.stream(), &own, 1, real(0.1)));
  });
  // Two norms, of which the other one has more channels: the first and the second in one launch.
  const int wide = s.k + 19;
  const std::vector<real> ones(static_cast<size_t>(2 * wide), real(1));
  for (const bool first : {true, false})
    check("epilogue, two", [&](real* mean, real* variance, real* running_mean, real* running_variance) {
      const NormStatistics own{moments.data(), sums, rows, s.k, mean, variance, running_mean, running_variance};
      const Reals other_moments(context, ones), other_mean(context, wide), other_variance(context, wide);
      const NormStatistics other{other_moments.data(), {true, 1, 4}, 4, wide, other_mean.data(), other_variance.data()};
      const NormStatistics list[] = {first ? own : other, first ? other : own};
      RUN_ON(context, batch_norm_finish_statistics(context.stream(), list, 2, real(0.1)));
      check_exact(other_mean.values(), std::vector<real>(static_cast<size_t>(wide), real(1)), "the other mean");
      check_exact(other_variance.values(), std::vector<real>(static_cast<size_t>(wide), real(0.25)),
                  "the other variance");
    });
  check("separate", [&](real* mean, real* variance, real* running_mean, real* running_variance) {
    const Bytes work(context, static_cast<int64_t>(ASK_BACKEND(context, batch_norm_workspace_bytes(rows, s.k))));
    RUN_ON(context, batch_norm_statistics(context.stream(), y.data(), rows, s.k, real(0.1), mean, variance,
                                          running_mean, running_variance, work.data()));
  });
  // The same bits under every schedule.
  const std::vector<real> first = moments.values();
  const KeepSeed keep;
  for (uint32_t seed = 2; seed < 5 && context.backend() == Backend::emu; seed++) {
    simt::set_seed(seed);
    const Reals again(context, int64_t{sums.parts} * 2 * s.k);
    conv.forward(input, {.moments = again.data()}, y.data());
    check_exact(again.values(), first, text(s, plan, fmt::format("schedule {}", seed)));
  }
}

TEST_CASE("statistics of a convolution's output from its epilogue") {
  for (const ConvShape& s : kShapes) {
    const std::vector<real> x = rounded(normals(s.input_count(), 1, 30)),
                            w = rounded(normals(s.weight_count(), 2, 0.5));
    on_each_stream([&](Context& context, bool) {
      for (const ForcedPlan& plan : plans(context, s, ConvPass::Forward)) check_statistics(context, s, plan, x, w);
    });
  }
}

// One norm's part in the test of gated sums.
struct Norm {
  std::vector<real> z, mean, variance;
  Norm(const ConvShape& s, uint32_t index)
      : z(rounded(normals(s.input_count(), index, 3, 2))), mean(normals(s.c, index + 1, 3)), variance(normals(s.c, 0)) {
    for (real& v : variance) v = 1 + v * v;
  }
};

struct GradientCase {
  std::vector<real> dy, w, before;
  std::vector<unsigned char> signs;
  Norm norms[2];
};

void check_gradients(Context& context, const ConvShape& s, const ForcedPlan& plan, const GradientCase& in, int norms,
                     Write write) {
  const Force force(plan);
  Convolution conv(context, s, in.w);
  const EpilogueSums sums = conv.sums(ConvPass::BackwardData);
  CHECK_MESSAGE(sums.available == expects_sums(context, conv, ConvPass::BackwardData), text(s, plan, "available"));
  if (!sums.available) return;
  const std::string what = text(s, plan, fmt::format("{} norms, {}", norms, write == Write::Add ? "added" : "set"));
  const int64_t rows = s.input_count() / s.c;
  const Stored gradient(context, in.dy), plain(context, in.before), dx(context, in.before);
  conv.backward_data(gradient, plain.data(), write);
  const Bytes signs(context, in.signs);
  const Stored z[2] = {{context, in.norms[0].z}, {context, in.norms[1].z}};
  const Reals mean[2] = {{context, in.norms[0].mean}, {context, in.norms[1].mean}};
  const Reals variance[2] = {{context, in.norms[0].variance}, {context, in.norms[1].variance}};
  const Reals partial(context, int64_t{sums.parts} * (1 + norms) * s.c);
  GradEpilogue epilogue{.signs = signs.data(), .sums = partial.data()};
  for (int i = 0; i < norms; i++) epilogue.z[i] = z[i].data(), epilogue.mean[i] = mean[i].data();
  conv.backward_data(gradient, dx.data(), write, epilogue);
  std::vector<real> g = plain.values();
  for (size_t i = 0; i < g.size(); i++)
    if ((in.signs[i / 8] >> i % 8 & 1) == 0) g[i] = 0;
  check_exact(dx.values(), g, what + " gated gradient");

  Wide sum_g(static_cast<size_t>(s.c)), magnitude(sum_g), sum_gn[2] = {sum_g, sum_g}, gn_magnitude[2] = {sum_g, sum_g};
  for (size_t i = 0; i < g.size(); i++) {
    const size_t c = i % sum_g.size();
    sum_g[c] += g[i];
    magnitude[c] += std::fabs(g[i]);
    for (int k = 0; k < norms; k++) {
      const Norm& norm = in.norms[k];
      const long double rstd = 1 / std::sqrt(static_cast<long double>(norm.variance[c]) + kEps);
      const long double term = g[i] * (static_cast<long double>(norm.z[i]) - norm.mean[c]) * rstd;
      sum_gn[k][c] += term;
      gn_magnitude[k][c] += std::fabs(term);
    }
  }
  const auto bound = [&](Wide values) {
    for (long double& v : values) v *= 2 * (static_cast<long double>(rows) + 8) * kUnit;
    return values;
  };
  const auto check = [&](const std::string& route, const auto& compute) {
    const Reals got_g(context, s.c), got_gn[2] = {{context, s.c}, {context, s.c}},
                                     dweight[2] = {{context, s.c, 0}, {context, s.c, 0}}, dbias(context, s.c);
    const auto input = [&](int k) { return NormInput{z[k].data(), mean[k].data(), variance[k].data()}; };
    // The second norm's parameters are frozen: it has no dbias.
    NormGradient to[2] = {{.sum_gn = got_gn[0].data(), .dweight = dweight[0].data(), .dbias = dbias.data()},
                          {.sum_gn = got_gn[1].data(), .dweight = dweight[1].data(), .dweight_write = Write::Add}};
    compute(input(0), to[0], norms == 2 ? input(1) : NormInput{}, norms == 2 ? to[1] : NormGradient{}, got_g.data());
    check_within(got_g.values(), sum_g, bound(magnitude), what + ", " + route + " sum g");
    check_within(dbias.values(), sum_g, bound(magnitude), what + ", " + route + " dbias");
    for (int k = 0; k < norms; k++) {
      check_within(got_gn[k].values(), sum_gn[k], bound(gn_magnitude[k]), what + ", " + route + " sum gn");
      check_within(dweight[k].values(), sum_gn[k], bound(gn_magnitude[k]), what + ", " + route + " dweight");
    }
  };
  check("epilogue", [&](const NormInput& norm, const NormGradient& to, const NormInput& joined,
                        const NormGradient& joined_to, real* got_g) {
    RUN_ON(context, batch_norm_finish_gradients(context.stream(), partial.data(), sums, s.c, kEps, norm, to, joined,
                                                joined_to, got_g));
  });
  check("separate", [&](const NormInput& norm, const NormGradient& to, const NormInput& joined,
                        const NormGradient& joined_to, real* got_g) {
    const Bytes work(context, static_cast<int64_t>(ASK_BACKEND(context, batch_norm_workspace_bytes(rows, s.c))));
    RUN_ON(context, batch_norm_backward_reduce(context.stream(), plain.data(), {nullptr, signs.data()}, rows, s.c, kEps,
                                               norm, to, joined, joined_to, got_g, work.data()));
  });
  const std::vector<real> first = partial.values();
  const KeepSeed keep;
  for (uint32_t seed = 2; seed < 4 && context.backend() == Backend::emu; seed++) {
    simt::set_seed(seed);
    const Stored onto(context, in.before);
    const Reals again(context, int64_t{sums.parts} * (1 + norms) * s.c);
    epilogue.sums = again.data();
    conv.backward_data(gradient, onto.data(), write, epilogue);
    check_exact(again.values(), first, fmt::format("{}, schedule {}", what, seed));
  }
}

TEST_CASE("gated sums of a gradient from the epilogue that completes it") {
  for (const ConvShape& s : kShapes) {
    GradientCase in{rounded(normals(s.output_count(), 6)),
                    rounded(normals(s.weight_count(), 2)),
                    rounded(normals(s.input_count(), 7, 0, 5)),
                    {},
                    {{s, 8}, {s, 10}}};
    Random random(1, Purpose::Test, 2, 0);
    for (int64_t i = 0; i < (s.input_count() + 7) / 8; i++)
      in.signs.push_back(static_cast<unsigned char>(random.below(256)));
    on_each_stream([&](Context& context, bool) {
      for (const ForcedPlan& plan : plans(context, s, ConvPass::BackwardData))
        for (const Write write : {Write::Set, Write::Add})
          check_gradients(context, s, plan, in, write == Write::Set ? 1 : 2, write);
    });
  }
}

TEST_CASE("sums of tiles are refused where the query says that there are none") {
  on_each_device([&](Context& context) {
    if (context.backend() == Backend::cpu) return;
    const ConvShape s = kShapes[0];
    const Force force({.splits = 3});
    Convolution conv(context, s, std::vector<real>(static_cast<size_t>(s.weight_count())));
    const Stored x(context, s.input_count()), y(context, s.output_count());
    const Reals moments(context, 4096);
    CHECK_FALSE(conv.sums(ConvPass::Forward).available);
    CHECK_THROWS_AS(conv.forward(x, {.moments = moments.data()}, y.data()), CheckError);
  });
}

}  // namespace
}  // namespace mpanet::PRECISION
