// Difficult inputs of the losses: values and gradients computed by hand from docs/method.md, section 2.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "layers/layers.h"
#include "losses/losses.h"
#include "tests/support/rows.h"

namespace mpanet::PRECISION {
namespace {

using Rows = std::vector<std::vector<double>>;
using Values = std::vector<double>;

// A few additions and one square root: a few roundings.
constexpr double kTolerance = sizeof(real) == 8 ? 1e-13 : 1e-6;

Values flat(const Rows& rows) {
  Values values;
  for (const auto& row : rows) values.insert(values.end(), row.begin(), row.end());
  return values;
}

RealTensor tensor(Context& context, const Shape& shape, const Values& values) {
  const RealTensor t(context, shape, true);
  t.from_host({values.begin(), values.end()});
  return t;
}

RealTensor tensor(Context& context, const Rows& rows) {
  return tensor(context, {static_cast<int64_t>(rows.size()), static_cast<int64_t>(rows[0].size())}, flat(rows));
}

Logits logits_of(Context& context, const Rows& rows) {
  const Logits made(context, static_cast<int>(rows.size()), static_cast<int>(rows[0].size()), true);
  const Values values = flat(rows);
  set_values(context, made, {values.begin(), values.end()});
  return made;
}

template <class T>
TensorOf<T> list(Context& context, const std::vector<T>& values) {
  const TensorOf<T> t(context, {static_cast<int64_t>(values.size())});
  t.from_host(values);
  return t;
}

Values gradient_of(Context& context, const RealTensor& t) {
  REQUIRE(t.has_grad());
  std::vector<real> values(static_cast<size_t>(t.count()));
  context.to_host(values.data(), t.grad(), values.size() * sizeof(real));
  return {values.begin(), values.end()};
}

Values gradient_of_logits(Context& context, const Logits& x) {
  REQUIRE(x.rows.has_grad());
  const std::vector<real> values = gradient_of(context, x);
  return {values.begin(), values.end()};
}

// Runs the tape from d loss = 1 and returns the loss.
double run(Context& context, const RealTensor& loss) {
  const auto [gradient, write] = loss.grad_sink();
  const real one = 1;
  context.to_device(gradient, &one, sizeof one);
  context.tape().backward();
  return static_cast<double>(loss.to_host()[0]);
}

void check_values(const Values& got, const Values& expected, double tolerance = kTolerance) {
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); i++)
    CHECK_MESSAGE(std::fabs(got[i] - expected[i]) <= tolerance * (1 + std::fabs(expected[i])),
                  fmt::format("element {}: got {}, expected {}", i, got[i], expected[i]));
}

void check_value(double got, double expected, double tolerance = kTolerance) {
  check_values({got}, {expected}, tolerance);
}

struct Result {
  double loss;
  Values gradient;
};

Result center_cluster(const Rows& f, const std::vector<int32_t>& labels, double margin) {
  Context context(Backend::cpu, Guards::On);
  const RealTensor features = tensor(context, f);
  const double loss = run(context, center_cluster_loss(context, features, list(context, labels), margin));
  return {loss, gradient_of(context, features)};
}

Result triplet(const Rows& f, const std::vector<int32_t>& labels, double margin) {
  Context context(Backend::cpu, Guards::On);
  const RealTensor features = tensor(context, f);
  const double loss = run(context, triplet_loss(context, features, list(context, labels), margin));
  return {loss, gradient_of(context, features)};
}

Result cross_entropy_rows(const Rows& logits, const std::vector<int32_t>& labels,
                          const std::vector<uint8_t>& infrared = {}, int which = 0) {
  Context context(Backend::cpu, Guards::On);
  const Logits x = logits_of(context, logits);
  const LabelTensor y = list(context, labels);
  const double loss = run(context, infrared.empty() ? cross_entropy(context, x, y)
                                                    : cross_entropy_of(context, x, y, list(context, infrared), which));
  return {loss, gradient_of_logits(context, x)};
}

struct MutualResult {
  double loss;
  Values visible, infrared;
};

MutualResult mutual(const Rows& live_visible, const Rows& live_infrared, const Rows& teacher_visible,
                    const Rows& teacher_infrared, const std::vector<uint8_t>& flags) {
  Context context(Backend::cpu, Guards::On);
  const Logits v = logits_of(context, live_visible), i = logits_of(context, live_infrared);
  const Logits teacher_v = logits_of(context, teacher_visible), teacher_i = logits_of(context, teacher_infrared);
  const double loss = run(context, mutual_kl(context, v, i, teacher_v, teacher_i, list(context, flags)));
  CHECK(!teacher_v.rows.has_grad());
  CHECK(!teacher_i.rows.has_grad());
  return {loss, gradient_of_logits(context, v), gradient_of_logits(context, i)};
}

Values zeros(size_t count) { return Values(count); }

TEST_CASE("center cluster: one sample of each identity, so there is no pull") {
  // Gaps 0.5 (inside the margin of 0.7), 10 and 9.7; K (K - 1) = 6 ordered pairs.
  const Result r = center_cluster({{0, 0}, {0.3, 0.4}, {10, 0}}, {4, 0, 2}, 0.7);
  check_value(r.loss, 2 * 0.2 / 6);
  // d/dc_0 of 2 (0.7 - |c_0 - c_1|) / 6, with (c_0 - c_1) / |c_0 - c_1| = (-0.6, -0.8)
  check_values(r.gradient, {0.2, 0.8 / 3, -0.2, -0.8 / 3, 0, 0});
}

TEST_CASE("center cluster: one identity has pull and no push") {
  const Result r = center_cluster({{0}, {0}, {3}}, {7, 7, 7}, 0.7);
  check_value(r.loss, 4.0 / 3);  // center 1
  check_values(r.gradient, {-2.0 / 9, -2.0 / 9, 4.0 / 9});
}

TEST_CASE("center cluster: a single sample") {
  const Result r = center_cluster({{3, -4}}, {1}, 0.7);
  CHECK(r.loss == 0);
  check_values(r.gradient, zeros(2), 0);
}

TEST_CASE("center cluster: a sample that lies on its center has no direction") {
  const Result r = center_cluster({{-3, -4}, {3, 4}, {0, 0}}, {0, 0, 0}, 0.7);
  check_value(r.loss, 10.0 / 3);
  check_values(r.gradient, {-0.2, -0.8 / 3, 0.2, 0.8 / 3, 0, 0});
}

TEST_CASE("center cluster: all features equal, identities of different sizes") {
  // 0.1 is no binary fraction: the sums of two, three and seven of it round differently, but the centers coincide. The
  // push is the margin, with gradient 0.
  const std::vector<int32_t> labels = {0, 0, 1, 1, 1, 2, 3, 3, 3, 3, 3, 3, 3};
  const Result r = center_cluster(Rows(labels.size(), {0.1, -0.3, 1000.1}), labels, 0.7);
  check_value(r.loss, 0.7);
  check_values(r.gradient, zeros(labels.size() * 3), 0);
}

TEST_CASE("center cluster: equal features within one identity") {
  const Result r = center_cluster({{0.1}, {0.1}, {0.1}, {8}, {10}}, {0, 0, 0, 1, 1}, 0.7);
  check_value(r.loss, 2.0 / 5);
  check_values(r.gradient, {0, 0, 0, -0.2, 0.2});
}

TEST_CASE("center cluster: two identities whose centers coincide") {
  const Result r = center_cluster({{1, 0}, {-1, 0}, {0, 2}, {0, -2}}, {0, 0, 1, 1}, 0.7);
  check_value(r.loss, 6.0 / 4 + 0.7);
  check_values(r.gradient, {0.25, 0, -0.25, 0, 0, 0.25, 0, -0.25});
}

TEST_CASE("center cluster: the margin exactly met") {
  const Result r = center_cluster({{0}, {0.5}}, {0, 1}, 0.5);
  CHECK(r.loss == 0);
  // A subgradient is between the slopes of both sides: 0 outside the margin, (1, -1) inside.
  CHECK(r.gradient[0] >= 0);
  CHECK(r.gradient[0] <= 1);
  CHECK(r.gradient[1] == -r.gradient[0]);
}

TEST_CASE("center cluster: features far from zero and close to each other") {
  // Distances of 1 at an offset of 1000 are exact, because no distance is computed as a difference of squares.
  const Result r = center_cluster({{1000}, {1002}, {2000}, {2000}}, {0, 0, 1, 1}, 0.7);
  check_value(r.loss, 0.5);
  check_values(r.gradient, {-0.25, 0.25, 0, 0});
}

TEST_CASE("triplet: one identity forms no triplet") {
  const Result r = triplet({{0}, {1}, {5}}, {2, 2, 2}, 0.7);
  CHECK(r.loss == 0);
  check_values(r.gradient, zeros(3), 0);
}

TEST_CASE("triplet: one sample of each identity is its own farthest") {
  // Own distance sqrt(1e-12) = 1e-6. Rows 0 and 1 are each other's nearest at 0.5, row 2's is row 1 at 0.6.
  const Result r = triplet({{0}, {0.5}, {1.1}}, {0, 1, 2}, 0.7);
  check_value(r.loss, (3 * 0.700001 - 0.5 - 0.5 - 0.6) / 3);
  check_values(r.gradient, {2.0 / 3, -1.0 / 3, -1.0 / 3});
}

TEST_CASE("triplet: farthest of the same, nearest of another") {
  // Row 0: 2 - 3, row 1: 2 - 1, row 2: clamped own distance - 1, each plus 1.5.
  const Result r = triplet({{0}, {2}, {3}}, {0, 0, 1}, 1.5);
  check_value(r.loss, (0.5 + 2.5 + 0.500001) / 3);
  check_values(r.gradient, {-1.0 / 3, 4.0 / 3, -1});
}

TEST_CASE("triplet: all features equal") {
  const Result r = triplet(Rows(5, {0.1, 3}), {0, 0, 1, 1, 2}, 0.7);
  check_value(r.loss, 0.7);
  check_values(r.gradient, zeros(10), 0);
}

TEST_CASE("triplet: the margin exactly met") {
  // Only row 1 is at its hinge: 0.5 + 0.25 - 0.75 = 0. Inside, its slopes are (-1, 2, -1) / 3.
  const Result r = triplet({{0}, {0.25}, {1}}, {0, 0, 1}, 0.5);
  CHECK(r.loss == 0);
  const double t = 1.5 * r.gradient[1];
  CHECK(t >= -kTolerance);
  CHECK(t <= 1 + kTolerance);
  check_values(r.gradient, {-t / 3, 2 * t / 3, -t / 3});
}

TEST_CASE("center loss: learned centers, one of them exactly hit, one never") {
  Context context(Backend::cpu, Guards::On);
  ParameterStore store;
  Parameter& centers = store.add("centers", {3, 2}, true);
  store.allocate(context, ParameterStore::State::Gradients);
  const std::vector<real> values = {1, 1, 9, 9, 0, 4};
  context.to_device(centers.value, values.data(), values.size() * sizeof(real));
  const RealTensor f = tensor(context, Rows{{1, 1}, {3, 4}, {2, 1}});
  const double loss = run(context, center_loss(context, f, list<int32_t>(context, {0, 2, 0}), centers));
  check_value(loss, (0 + 9 + 1) / 9.0);
  check_values(gradient_of(context, f), {0, 0, 6.0 / 9, 0, 2.0 / 9, 0});
  std::vector<real> gradient(6);
  context.to_host(gradient.data(), centers.gradient, gradient.size() * sizeof(real));
  check_values({gradient.begin(), gradient.end()}, {-2.0 / 9, 0, 0, 0, -6.0 / 9, 0});
}

TEST_CASE("cross entropy: equal logits") {
  const Result r = cross_entropy_rows({{5, 5, 5, 5}, {-2, -2, -2, -2}}, {0, 3});
  check_value(r.loss, std::log(4));
  check_values(r.gradient, {-0.375, 0.125, 0.125, 0.125, 0.125, 0.125, 0.125, -0.375});
}

TEST_CASE("cross entropy: huge logits, right and wrong") {
  const Result r = cross_entropy_rows({{1e4, -1e4}, {1e4, -1e4}}, {0, 1});
  check_value(r.loss, 1e4);  // (0 + 20000) / 2
  check_values(r.gradient, {0, 0, 0.5, -0.5});
}

TEST_CASE("cross entropy: one class") {
  const Result r = cross_entropy_rows({{3}, {-1e4}}, {0, 0});
  CHECK(r.loss == 0);
  check_values(r.gradient, zeros(2), 0);
}

TEST_CASE("cross entropy of a modality: its rows only, and none at all") {
  const Rows logits = {{0, std::log(3)}, {1e4, -1e4}, {0, 0}};
  const Result visible = cross_entropy_rows(logits, {0, 1, 1}, {0, 1, 0}, 0);
  check_value(visible.loss, (std::log(4) + std::log(2)) / 2);
  check_values(visible.gradient, {-0.375, 0.375, 0, 0, 0.25, -0.25});
  const Result none = cross_entropy_rows(logits, {0, 1, 1}, {0, 0, 0}, 1);
  CHECK(none.loss == 0);
  check_values(none.gradient, zeros(6), 0);
}

TEST_CASE("mutual learning: each row's own classifier against the other modality's teacher") {
  const Rows unused = {{7, -3}, {-9, 2}};
  // Row 0 is visible: p = (3/4, 1/4), q from the infrared teacher = (1/2, 1/2). Row 1 is infrared: p = (1/3, 2/3),
  // q from the visible teacher = (2/3, 1/3).
  const MutualResult r = mutual({{std::log(3), 0}, unused[0]}, {unused[1], {0, std::log(2)}},
                                {unused[0], {std::log(2), 0}}, {{4, 4}, unused[1]}, {0, 1});
  const double kl0 = 0.75 * std::log(1.5) + 0.25 * std::log(0.5), kl1 = std::log(2) / 3;
  check_value(r.loss, (kl0 + kl1) / 2);
  const double g0 = 0.75 * (std::log(1.5) - kl0) / 2, g1 = (std::log(0.5) - kl1) / 3 / 2;
  check_values(r.visible, {g0, -g0, 0, 0});
  check_values(r.infrared, {0, 0, g1, -g1});
}

TEST_CASE("mutual learning: equal distributions") {
  const Rows same = {{1, 2, 3}, {-5, 0, 5}};
  const MutualResult r = mutual(same, same, same, same, {0, 1});
  CHECK(std::fabs(r.loss) <= kTolerance);
  check_values(r.visible, zeros(6));
  check_values(r.infrared, zeros(6));
}

TEST_CASE("mutual learning: opposite certainties stay finite") {
  // p = (1, 0) and q = (0, 1) with log q = -20000: KL = 20000, and its gradient is 0.
  const Rows sure = {{1e4, -1e4}}, other = {{-1e4, 1e4}};
  const MutualResult r = mutual(sure, sure, other, other, {0});
  check_value(r.loss, 2e4);
  check_values(r.visible, zeros(2), 0);
  check_values(r.infrared, zeros(2), 0);
}

TEST_CASE("mutual learning: one modality only, still over N") {
  const Rows live = {{std::log(3), 0}, {0, 0}, {0, 0}}, level = {{0, 0}, {0, 0}, {0, 0}};
  const MutualResult r = mutual(level, live, level, level, {1, 1, 1});
  const double kl = 0.75 * std::log(1.5) + 0.25 * std::log(0.5), g = 0.75 * (std::log(1.5) - kl) / 3;
  check_value(r.loss, kl / 3);
  check_values(r.visible, zeros(6), 0);
  check_values(r.infrared, {g, -g, 0, 0, 0, 0});
}

Result separation(const Shape& shape, const Values& masks) {
  Context context(Backend::cpu, Guards::On);
  const RealTensor m = tensor(context, shape, masks);
  const double loss = run(context, separation_loss(context, m));
  return {loss, gradient_of(context, m)};
}

TEST_CASE("separation: by hand, empty maps, full maps") {
  const Result hand = separation({1, 2, 3}, {1, 2, 3, 4, 5, 6});
  check_value(hand.loss, (2 + 3 + 6 + 20 + 24 + 30) / 3.0);
  check_values(hand.gradient, {5.0 / 3, 4.0 / 3, 3.0 / 3, 11.0 / 3, 10.0 / 3, 9.0 / 3});
  const Result empty = separation({2, 5, 6}, zeros(60));
  CHECK(empty.loss == 0);
  check_values(empty.gradient, zeros(60), 0);
  const Result full = separation({2, 5, 6}, Values(60, 1));
  check_value(full.loss, 5);  // every pair overlaps in all five positions
  check_values(full.gradient, Values(60, 1.0 / 6));
}

TEST_CASE("pattern maps saturate to 0 and 1 with finite gradients") {
  Context context(Backend::cpu, Guards::On);
  ParameterStore store;
  Parameter &weight = store.add("weight", {2, 1, 1, 1}, true), &bias = store.add("bias", {2}, true);
  store.allocate(context, ParameterStore::State::Gradients);
  const std::vector<real> w = {1, -1};
  context.to_device(weight.value, w.data(), w.size() * sizeof(real));
  const Tensor x(context, {1, 2, 1, 1}, true);
  x.from_host({1e4, -1e4});
  const RealTensor masks = pattern_alignment(context, store, x, weight, bias).masks;
  const std::vector<real> got = masks.to_host();
  check_values({got.begin(), got.end()}, {1, 0, 0, 1}, 0);
  const double loss = run(context, separation_loss(context, masks));
  CHECK(loss == 0);
  std::vector<real> gradient(2);
  context.to_host(gradient.data(), x.grad(), 2 * sizeof(real));
  check_values({gradient.begin(), gradient.end()}, zeros(2), 0);
}

TEST_CASE("weighted sum: the total and each term's share") {
  Context context(Backend::cpu, Guards::On);
  const RealTensor a = tensor(context, {1}, {3}), b = tensor(context, {1}, {-0.5});
  check_value(run(context, weighted_sum(context, {{a, 2}, {b, 4}, {a, 0.5}})), 5.5);
  check_values(gradient_of(context, a), {2.5});
  check_values(gradient_of(context, b), {4});
}

}  // namespace
}  // namespace mpanet::PRECISION
