// The finite check, distances and rankings, on every backend of the build.
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

template <class T>
std::vector<T> filled(int64_t count, T value) {
  return std::vector<T>(static_cast<size_t>(count), value);
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
      CHECK(finite(context, values, shift) == 1);
      values.back() = kInfinity;
      CHECK(finite(context, values, shift) == 0);
      values.back() = 0;
      values[3 * kCount / 4] = kNaN;
      CHECK(finite(context, values, shift) == 0);
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
