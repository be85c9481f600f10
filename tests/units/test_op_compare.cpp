// opcheck's bounds. A missing gradient must not pass any of them.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "core/base/random.h"
#include "tests/ops/op_compare.h"
#include "tests/support/text.h"

namespace mpanet {
namespace {

const OpPrecision kBf16{"bf16", 0x1p-8, 0x1p-24, 0x1p-126, nullptr, nullptr, nullptr, nullptr, nullptr};

std::vector<double> normals(uint32_t index, double scale = 1) {
  Random random(1, Purpose::Test, 50, index);
  std::vector<double> values(4096);
  for (double& v : values) v = scale * random.normal();
  return values;
}

std::vector<double> sum(std::vector<double> a, const std::vector<double>& b, double factor = 1) {
  for (size_t i = 0; i < a.size(); i++) a[i] = factor * a[i] + b[i];
  return a;
}

OpName network(int intermediate_roundings) {
  OpName op{"network", "made up", {}, {}};
  op.intermediate_roundings = intermediate_roundings;
  op.tolerance_factor = 200;
  return op;
}

// A deep network's gradient, with rounding errors of half its size. got has other rounding errors than the references
// and is multiplied by `factor`. It is once set, and once added to other numbers.
Comparison compare_network(double factor, bool adds_too = true) {
  const std::vector<double> exact = normals(0), there = normals(1), rounded = sum(exact, normals(2, 0.5));
  const std::vector<double> got = sum(sum(exact, normals(3, 0.5)), std::vector<double>(exact.size(), 0), factor);
  const OpResults results = {{"d(w)", got}, {"d(w) added", adds_too ? sum(got, there) : there}};
  return compare(kBf16, network(40), results,
                 {{{"d(w)", rounded}, {"d(w) added", sum(rounded, there)}},
                  {{"d(w)", exact}, {"d(w) added", sum(exact, there)}},
                  {{"d(w)", rounded}, {"d(w) added", rounded}}});
}

TEST_CASE("a deep network's gradient in bf16 errs as rounding does, and no more") {
  const Comparison good = compare_network(1);
  CHECK_MESSAGE(good.failure.empty(), good.failure);
  CHECK(good.tensors == 2);
  CHECK(good.gradients == 2);
  for (const double factor : {0.0, -1.0, 0.5, 1.5}) {
    CAPTURE(factor);
    CHECK(has(compare_network(factor).failure, "d(w)"));
  }
  CHECK(has(compare_network(1, false).failure, "d(w) added"));
}

TEST_CASE("bounds that a gradient of zeros meets are a failure") {
  const std::vector<double> exact = normals(0);
  const auto failure_of = [&](int roundings) {
    return compare(kBf16, network(roundings), {{"d(w)", exact}}, {{}, {{"d(w)", exact}}, {}}).failure;
  };
  CHECK(failure_of(40).empty());  // 2 sqrt(40 / 256) = 0.79 of the norm
  CHECK(has(failure_of(80), "would let zeros pass"));
}

TEST_CASE("one rounding too many is seen against rounded double") {
  const auto round = [](double v) {
    const double unit = std::exp2(std::floor(std::log2(std::fabs(v))) - 7);
    return std::nearbyint(v / unit) * unit;
  };
  const std::vector<double> a = normals(0), b = normals(1), exact = sum(a, b);
  std::vector<double> rounded = exact, twice = a;
  std::transform(exact.begin(), exact.end(), rounded.begin(), round);
  for (size_t i = 0; i < a.size(); i++) twice[i] = round(round(a[i]) + b[i]);
  const OpName op{"add", "made up", {}, {}};
  const auto failure_of = [&](const std::vector<double>& got) {
    return compare(kBf16, op, {{"output 0", got, true}}, {{}, {{"output 0", exact}}, {{"output 0", rounded}}}).failure;
  };
  CHECK(failure_of(rounded).empty());
  CHECK(!failure_of(twice).empty());
}

TEST_CASE("results that the reference has not are a failure") {
  const std::vector<double> exact = normals(0);
  CHECK(!compare(kBf16, network(0), {{"d(w)", exact}}, {}).failure.empty());
  CHECK(!compare(kBf16, network(0), {{"d(w)", exact}}, {{}, {{"d(w)", {1}}}, {}}).failure.empty());
  CHECK(!compare(kBf16, network(0), {{"d(w)", {1}}}, {{}, {{"d(w)", {std::nan("")}}}, {}}).failure.empty());
}

}  // namespace
}  // namespace mpanet
