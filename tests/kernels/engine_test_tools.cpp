// Norms, the finite check, layouts and rankings, on every backend of the build.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tests/support/kernel_test.h"

namespace mpanet::PRECISION {
namespace {

constexpr real kInfinity = std::numeric_limits<real>::infinity(), kNaN = std::numeric_limits<real>::quiet_NaN();
constexpr real kLargest = std::numeric_limits<real>::max();
// Sums in double, rounded once.
constexpr double kTolerance = sizeof(real) == 8 ? 1e-14 : 1.2e-7;

template <class T>
std::vector<T> filled(int64_t count, T value) {
  return std::vector<T>(static_cast<size_t>(count), value);
}

long double sum_of_squares(const real* x, int64_t count) {
  long double sum = 0;
  for (int64_t i = 0; i < count; i++) sum += static_cast<long double>(x[i]) * static_cast<long double>(x[i]);
  return sum;
}

void check_relative(real got, long double expected, double tolerance) {
  CHECK_MESSAGE(std::fabs(static_cast<long double>(got) - expected) <= tolerance * std::fabs(expected),
                "got " << got << ", expected " << static_cast<double>(expected));
}

real norm_of(Context& context, const Array<real>& x, int64_t count) {
  const Array<real> norm(context, {kNaN});
  const size_t bytes = ON_BACKEND(context.backend(), l2_norm_workspace_bytes(count));
  const Array<char> workspace(context, std::vector<char>(bytes));
  ON_BACKEND(context.backend(), l2_norm(context.stream(), x.data(), count, norm.data(), workspace.data()));
  return norm.value();
}

// The flag after a check; `before` is its value before.
int32_t finite(Context& context, const std::vector<real>& values, size_t shift = 0, int32_t before = 1) {
  const Array<real> x(context, values, shift);
  const Array<int32_t> answer(context, {before});
  ON_BACKEND(context.backend(),
             check_finite(context.stream(), x.data(), static_cast<int64_t>(values.size()), answer.data()));
  return answer.value();
}

const int64_t kCounts[] = {1, 2, 3, 5, 31, 256, 1021, 40009};

TEST_CASE("l2_norm against sums in long double, the same bits every time") {
  on_each_device([](Context& context) {
    for (const int64_t count : kCounts)
      for (const size_t shift : {0, 1}) {
        INFO("count ", count, " shift ", shift);
        const std::vector<real> values = normals(count, 1);
        const Array<real> x(context, values, shift);
        const real norm = norm_of(context, x, count);
        check_relative(norm, std::sqrt(sum_of_squares(values.data(), count)), kTolerance);
        CHECK(norm_of(context, x, count) == norm);
      }
  });
}

TEST_CASE("l2_norm: zeros, squares beyond float's range, infinities, NaN") {
  on_each_device([](Context& context) {
    const auto norm = [&](const std::vector<real>& values) {
      return norm_of(context, Array<real>(context, values), static_cast<int64_t>(values.size()));
    };
    CHECK(norm(filled(777, real{0})) == 0);
    check_relative(norm(filled(100, static_cast<real>(3e30))), 10 * static_cast<long double>(static_cast<real>(3e30)),
                   kTolerance);
    check_relative(norm(filled(100, static_cast<real>(3e-30))), 10 * static_cast<long double>(static_cast<real>(3e-30)),
                   kTolerance);
    CHECK(norm({1, -kInfinity, 2}) == kInfinity);
    CHECK(std::isnan(norm({1, kNaN, kInfinity})));
  });
}

TEST_CASE("check_finite finds one bad value anywhere") {
  on_each_device([](Context& context) {
    for (const int64_t count : kCounts)
      for (const size_t shift : {0, 1}) {
        INFO("count ", count, " shift ", shift);
        std::vector<real> values = normals(count, 3);
        values[0] = kLargest;
        CHECK(finite(context, values, shift) == 1);
        for (const int64_t at : {int64_t{0}, count / 2, count - 1})
          for (const real bad : {kInfinity, -kInfinity, kNaN}) {
            std::vector<real> spoilt = values;
            spoilt[static_cast<size_t>(at)] = bad;
            CHECK(finite(context, spoilt, shift) == 0);
          }
      }
    CHECK(finite(context, {std::numeric_limits<real>::denorm_min(), -kLargest}) == 1);
    CHECK(finite(context, {1, 2}, 0, 0) == 0);
  });
}

TEST_CASE("arrays longer than a grid") {
  constexpr int64_t kCount = 5'000'011;
  on_each_device([](Context& context) {
    for (const size_t shift : {0, 1}) {  // shift 0: packs; 1: element by element
      std::vector<real> values = filled(kCount, real{2});
      const Array<real> x(context, values, shift);
      check_relative(norm_of(context, x, kCount), 2 * std::sqrt(static_cast<long double>(kCount)), kTolerance);
      CHECK(finite(context, values, shift) == 1);
      values.back() = kInfinity;
      CHECK(finite(context, values, shift) == 0);
      values.back() = 0;
      values[3 * kCount / 4] = kNaN;
      CHECK(finite(context, values, shift) == 0);
    }
  });
}

TEST_CASE("transpose: every element in its place, there and back") {
  struct Sizes {
    int64_t batch, rows, columns;
  };
  on_each_device([](Context& context) {
    for (const Sizes& sizes : {Sizes{1, 1, 1},
                               {3, 1, 7},
                               {3, 7, 1},
                               {2, 2, 2},
                               {64, 3, 49},
                               {5, 64, 9},
                               {5, 9, 64},
                               {1, 33, 31},
                               {2, 32, 32},
                               {1, 130, 67},
                               {1, 1500, 2},
                               {1, 2, 1500},
                               {3, 1030, 1},
                               {1, 200, 300}}) {
      const int64_t batch = sizes.batch, rows = sizes.rows, columns = sizes.columns;
      INFO("batch ", batch, " rows ", rows, " columns ", columns);
      std::vector<real> values(static_cast<size_t>(batch * rows * columns));
      std::iota(values.begin(), values.end(), real{0});
      std::vector<real> expected;
      for (int64_t b = 0; b < batch; b++)
        for (int64_t j = 0; j < columns; j++)
          for (int64_t i = 0; i < rows; i++) expected.push_back(static_cast<real>((b * rows + i) * columns + j));
      const Array<real> from(context, values), to(context, filled(batch * rows * columns, kNaN)),
          back(context, filled(batch * rows * columns, kNaN));
      ON_BACKEND(context.backend(), transpose(context.stream(), from.data(), batch, rows, columns, to.data()));
      CHECK(to.values() == expected);
      ON_BACKEND(context.backend(), transpose(context.stream(), to.data(), batch, columns, rows, back.data()));
      CHECK(back.values() == values);
      CHECK(from.values() == values);
    }
  });
}

TEST_CASE("squared_norms against sums in long double") {
  on_each_device([](Context& context) {
    for (const auto& sizes : {std::pair<int64_t, int>{1, 1}, {3, 7}, {5, 256}, {2, 1021}, {67, 64}}) {
      const int64_t rows = sizes.first;
      const int d = sizes.second;
      INFO("rows ", rows, " d ", d);
      const std::vector<real> values = normals(rows * d, 4);
      const Array<real> x(context, values), norms(context, filled(rows, kNaN));
      ON_BACKEND(context.backend(), squared_norms(context.stream(), x.data(), rows, d, norms.data()));
      const std::vector<real> got = norms.values();
      for (int64_t i = 0; i < rows; i++)
        check_relative(got[static_cast<size_t>(i)], sum_of_squares(values.data() + i * d, d), 10 * kTolerance);
    }
  });
}

TEST_CASE("squared_distances on whole numbers, exactly") {
  on_each_device([](Context& context) {
    for (const auto& sizes : {std::pair<int64_t, int64_t>{1, 1}, {3, 8}, {5, 67}, {67, 300}, {2, 1030}}) {
      const int64_t queries = sizes.first, gallery = sizes.second;
      INFO("queries ", queries, " gallery ", gallery);
      const std::vector<real> q = integers(queries, 5), g = integers(gallery, 6),
                              products = integers(queries * gallery, 7);
      const Array<real> query(context, q), norms(context, g), distance(context, products);
      ON_BACKEND(context.backend(),
                 squared_distances(context.stream(), query.data(), norms.data(), queries, gallery, distance.data()));
      std::vector<real> expected = products;
      for (size_t i = 0; i < expected.size(); i++) expected[i] = q[i / g.size()] + g[i % g.size()] - 2 * products[i];
      CHECK(distance.values() == expected);
    }
  });
}

// The expected ranking: numbers in stable order, then NaNs in index order.
std::vector<int32_t> ranking(const real* row, int64_t count) {
  std::vector<int32_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  const auto numbers =
      std::stable_partition(order.begin(), order.end(), [&](int32_t i) { return !std::isnan(row[i]); });
  std::stable_sort(order.begin(), numbers, [&](int32_t a, int32_t b) { return row[a] < row[b]; });
  return order;
}

void check_ranking(Context& context, const std::vector<real>& distance, int64_t queries) {
  const auto gallery = static_cast<int64_t>(distance.size()) / queries;
  INFO("queries ", queries, " gallery ", gallery);
  const Array<real> from(context, distance);
  const Array<int32_t> order(context, filled(queries * gallery, -1));
  const size_t bytes = ON_BACKEND(context.backend(), rank_workspace_bytes(queries, gallery));
  const Array<char> workspace(context, std::vector<char>(bytes));
  ON_BACKEND(context.backend(), rank(context.stream(), from.data(), queries, gallery, order.data(), workspace.data()));
  std::vector<int32_t> expected;
  for (int64_t q = 0; q < queries; q++) {
    const std::vector<int32_t> row = ranking(distance.data() + q * gallery, gallery);
    expected.insert(expected.end(), row.begin(), row.end());
  }
  CHECK(order.values() == expected);
}

TEST_CASE("rank: ascending distances, ties by index") {
  on_each_device([](Context& context) {
    for (const auto& [queries, gallery] : {std::pair<int64_t, int64_t>{1, 1},
                                           {3, 2},
                                           {2, 3},
                                           {7, 64},
                                           {5, 301},
                                           {2, 2047},
                                           {1, 2048},
                                           {2, 2049},
                                           {2, 4096},
                                           {1, 9001}}) {
      check_ranking(context, normals(queries * gallery, 8), queries);
      check_ranking(context, integers(queries * gallery, 9), queries);  // seven different values: many ties
      check_ranking(context, filled(queries * gallery, real{1}), queries);
    }
  });
}

TEST_CASE("rank: zeros of both signs are equal, infinities are numbers, NaN comes last") {
  on_each_device([](Context& context) {
    const real choice[] = {kNaN, -kNaN, real{0}, -real{0}, kInfinity, -kInfinity, 1, kLargest};
    for (const int64_t gallery : {8, 65, 3001}) {
      Random random(1, Purpose::Test, 72, static_cast<uint32_t>(gallery));
      std::vector<real> distance(static_cast<size_t>(2 * gallery));
      for (real& value : distance) value = choice[random.below(8)];
      check_ranking(context, distance, 2);
      check_ranking(context, filled(2 * gallery, kNaN), 2);
    }
  });
}

}  // namespace
}  // namespace mpanet::PRECISION
