// The merges of parts of batch norm's sums, with as many parts as large batches have. The references are the formulas
// of the parts, in long double. u is the unit roundoff of real, R the largest distance of a part's mean from the first
// part's, which is the pivot and is far from the others. A sum has a few dozen additions on the path of each term:
//
//   mean       u |mean| + 64 u R
//   variance   64 u (variance + R deviation)   a deviation is wrong by a few u R
//   sums       64 u (sum of |terms|)
#include "tests/support/kernel_test.h"
#include "tests/support/schedules.h"

namespace mpanet::PRECISION {
namespace {

using Wide = std::vector<long double>;

constexpr real kEps = real(1e-5);
constexpr long double kUnit = sizeof(real) == 8 ? 0x1p-53L : 0x1p-24L;

struct Case {
  int parts, height, c;
  int rest;  // rows of the last part
  int64_t rows() const { return int64_t{parts - 1} * height + rest; }
};
// One part; one run, with one and with several passes of its loop; several runs of several tiles, the last ones short;
// so many tiles that there is one run; widths that packs do not fit.
const Case kCases[] = {{1, 64, 64, 64},   {5, 1, 16, 1},    {1536, 4, 24, 1},    {1537, 64, 64, 3}, {6144, 64, 32, 64},
                       {6145, 3, 130, 2}, {3000, 2, 19, 1}, {24576, 64, 16, 64}, {1600, 8, 1072, 5}};

std::string name(const Case& s) { return fmt::format("{} parts of {} rows, {} channels", s.parts, s.height, s.c); }

void check_within(const std::vector<real>& got, const Wide& expected, const Wide& may, const std::string& what) {
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); i++) {
    if (std::fabs(static_cast<long double>(got[i]) - expected[i]) <= may[i]) continue;
    FAIL_CHECK(what << ": element " << i << ": got " << got[i] << ", expected " << static_cast<double>(expected[i])
                    << " within " << static_cast<double>(may[i]));
    return;
  }
}

// Parts of statistics: means of 1000 with deviation 1, the first one's 100 off.
struct MomentCase {
  Case s;
  std::vector<real> parts;
  Wide mean, variance, mean_error, variance_error;

  MomentCase(const Case& s, uint32_t index) : s(s), parts(normals(int64_t{2} * s.parts * s.c, index)) {
    for (int part = 0; part < s.parts; part++)
      for (int c = 0; c < s.c; c++) {
        real &center = at(part, 0, c), &m2 = at(part, 1, c);
        center += part == 0 ? real(1100) : real(1000);
        m2 = m2 * m2 * static_cast<real>(rows_of(part));
      }
    for (int c = 0; c < s.c; c++) {
      const auto n = static_cast<long double>(s.rows());
      long double sum = 0, squares = 0, farthest = 0;
      for (int part = 0; part < s.parts; part++) sum += rows_of(part) * at(part, 0, c);
      for (int part = 0; part < s.parts; part++) {
        const long double d = at(part, 0, c) - sum / n;
        squares += at(part, 1, c) + rows_of(part) * d * d;
        farthest = std::max(farthest, std::fabs(static_cast<long double>(at(part, 0, c)) - at(0, 0, c)));
      }
      mean.push_back(sum / n);
      variance.push_back(squares / n);
      mean_error.push_back(kUnit * std::fabs(sum / n) + 64 * kUnit * farthest);
      variance_error.push_back(64 * kUnit * (squares / n + farthest * std::sqrt(squares / n)));
    }
  }
  real& at(int part, int value, int c) { return parts[static_cast<size_t>((int64_t{part} * 2 + value) * s.c + c)]; }
  long double rows_of(int part) const { return part == s.parts - 1 ? s.rest : s.height; }
};

// The arguments and results of a merge of statistics.
struct Moments {
  const MomentCase& in;
  Reals parts, mean, variance, running_mean, running_variance;

  Moments(Context& context, const MomentCase& in)
      : in(in),
        parts(context, in.parts),
        mean(context, in.s.c),
        variance(context, in.s.c),
        running_mean(context, in.s.c, 2),
        running_variance(context, in.s.c, 3) {}
  NormStatistics norm() const {
    return {parts.data(),        {true, in.s.parts, in.s.height}, in.s.rows(), in.s.c, mean.data(), variance.data(),
            running_mean.data(), running_variance.data()};
  }
  void check(const std::string& what) const {
    const auto average = [](const Wide& values, double before, long double factor) {
      Wide averages;
      for (const long double v : values) averages.push_back(0.9L * before + 0.1L * factor * v);
      return averages;
    };
    const auto rounded_too = [](Wide errors, const Wide& values) {
      for (size_t i = 0; i < errors.size(); i++) errors[i] += 4 * kUnit * std::fabs(values[i]);
      return errors;
    };
    check_within(mean.values(), in.mean, in.mean_error, what + " mean");
    check_within(variance.values(), in.variance, in.variance_error, what + " variance");
    const auto n = static_cast<long double>(in.s.rows());
    const Wide means = average(in.mean, 2, 1), variances = average(in.variance, 3, n / (n - 1));
    check_within(running_mean.values(), means, rounded_too(in.mean_error, means), what + " running mean");
    check_within(running_variance.values(), variances, rounded_too(in.variance_error, variances),
                 what + " running variance");
  }
};

// Calls body() for two schedules of the emulation, and twice on a device.
template <class Body>
void on_schedules(Context& context, const Body& body) {
  const KeepSeed keep;
  for (uint32_t seed = 1; seed < 3; seed++) {
    if (context.backend() == Backend::emu) simt::set_seed(seed);
    body();
  }
}

TEST_CASE("merges of statistics, alone and of two norms") {
  on_each_device([&](Context& context) {
    if (context.backend() == Backend::cpu) return;
    for (size_t i = 0; i < std::size(kCases); i++) {
      const MomentCase one(kCases[i], 1), two(kCases[(i + 4) % std::size(kCases)], 2);
      std::vector<real> first;
      on_schedules(context, [&] {
        const Moments alone(context, one), a(context, one), b(context, two);
        const NormStatistics own = alone.norm(), both[] = {a.norm(), b.norm()};
        RUN_ON(context, batch_norm_finish_statistics(context.stream(), &own, 1, real(0.1)));
        alone.check(name(one.s));
        if (first.empty()) first = alone.variance.values();
        check_exact(alone.variance.values(), first, name(one.s) + ", again");
        RUN_ON(context, batch_norm_finish_statistics(context.stream(), both, 2, real(0.1)));
        a.check(name(one.s) + ", first of two");
        b.check(name(two.s) + ", second of two");
      });
    }
  });
}

TEST_CASE("merges of gradients") {
  on_each_device([&](Context& context) {
    if (context.backend() == Backend::cpu) return;
    for (const Case& s : kCases)
      for (const int norms : {1, 2}) {
        const auto width = static_cast<size_t>(s.c), values = static_cast<size_t>(1 + norms);
        const std::vector<real> parts = normals(int64_t{s.parts} * (1 + norms) * s.c, 3, 0.1);
        std::vector<real> variance = normals(s.c, 4, 2);
        for (real& v : variance) v *= v;
        Wide sum[3] = {Wide(width), Wide(width), Wide(width)}, error[3] = {Wide(width), Wide(width), Wide(width)};
        for (size_t at = 0; at < parts.size(); at++) {
          const size_t c = at % width, value = at / width % values;
          const long double rstd = value == 0 ? 1 : 1 / std::sqrt(static_cast<long double>(variance[c]) + kEps);
          sum[value][c] += parts[at] * rstd;
          error[value][c] += 64 * kUnit * std::fabs(parts[at] * rstd);
        }
        const Reals from(context, parts), spread(context, variance);
        const Stored x(context, 1);  // only tells that there is a second norm
        std::vector<real> first;
        on_schedules(context, [&] {
          const Reals sum_g(context, s.c), dbias(context, s.c);
          const Reals sum_gn[2] = {{context, s.c}, {context, s.c}}, dweight[2] = {{context, s.c}, {context, s.c, 0}};
          const NormGradient to{.sum_gn = sum_gn[0].data(), .dweight = dweight[0].data(), .dbias = dbias.data()};
          const NormGradient joined_to{
              .sum_gn = sum_gn[1].data(), .dweight = dweight[1].data(), .dweight_write = Write::Add};
          const NormInput norm{nullptr, nullptr, spread.data()}, joined{x.data(), nullptr, spread.data()};
          RUN_ON(context, batch_norm_finish_gradients(context.stream(), from.data(), {true, s.parts, s.height}, s.c,
                                                      kEps, norm, to, norms == 2 ? joined : NormInput{},
                                                      norms == 2 ? joined_to : NormGradient{}, sum_g.data()));
          const std::string what = fmt::format("{}, {} norms", name(s), norms);
          check_within(sum_g.values(), sum[0], error[0], what + " sum g");
          check_within(dbias.values(), sum[0], error[0], what + " dbias");
          for (int k = 0; k < norms; k++) {
            check_within(sum_gn[k].values(), sum[1 + k], error[1 + k], what + " sum gn");
            check_within(dweight[k].values(), sum[1 + k], error[1 + k], what + " dweight");
          }
          if (first.empty()) first = sum_g.values();
          check_exact(sum_g.values(), first, what + ", again");
        });
      }
  });
}

}  // namespace
}  // namespace mpanet::PRECISION
