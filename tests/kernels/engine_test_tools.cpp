// Norms, scaling, the finite check, layouts, random numbers and rankings, on every backend of the build that runs here.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/base/random.h"
#include "core/tensor.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION {
namespace {

constexpr real kInfinity = std::numeric_limits<real>::infinity(), kNaN = std::numeric_limits<real>::quiet_NaN();
constexpr real kLargest = std::numeric_limits<real>::max();
// Sums in double, rounded once.
constexpr double kTolerance = sizeof(real) == 8 ? 1e-14 : 1.2e-7;

std::vector<Device> devices() {
  std::vector<Device> found = {Backend::cpu};
#if defined(MPANET_HAS_EMU)
  found.push_back(Backend::emu);
#endif
  const Device best = choose_device("auto");
  if (best.backend == Backend::cuda) found.push_back(best);
  return found;
}

template <class Body>
void on_each_device(const Body& body) {
  for (const Device device : devices()) {
    CAPTURE(name_of(device));
    Context context(device);
    body(context);
  }
}

// Device memory between two guard zones; `shift` elements past an address that packs of 16 bytes can be read at.
template <class T>
class Array {
 public:
  Array(Context& context, const std::vector<T>& values, int64_t shift = 0)
      : context_(context),
        count_(values.size()),
        start_(static_cast<size_t>(kGuard + shift)),
        buffer_(context, (start_ + count_ + kGuard) * sizeof(T)) {
    std::vector<T> all(start_ + count_ + kGuard, kMark);
    std::copy(values.begin(), values.end(), all.begin() + static_cast<int64_t>(start_));
    context.to_device(buffer_.template as<T>(), all.data(), all.size() * sizeof(T));
  }
  ~Array() {
    const std::vector<T> all = everything();
    const auto marked = [](T value) { return value == kMark; };
    const auto begin = all.begin() + static_cast<int64_t>(start_), end = begin + static_cast<int64_t>(count_);
    CHECK_MESSAGE(std::all_of(all.begin(), begin, marked), "a kernel wrote before its output");
    CHECK_MESSAGE(std::all_of(end, all.end(), marked), "a kernel wrote past its output");
  }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  T* data() const { return buffer_.template as<T>() + start_; }
  std::vector<T> values() const {
    const std::vector<T> all = everything();
    const auto begin = all.begin() + static_cast<int64_t>(start_);
    return {begin, begin + static_cast<int64_t>(count_)};
  }
  T value() const { return values().at(0); }

 private:
  static constexpr int64_t kGuard = 64;
  static constexpr T kMark = T{113};
  std::vector<T> everything() const {
    std::vector<T> all(start_ + count_ + kGuard);
    context_.to_host(all.data(), buffer_.template as<T>(), all.size() * sizeof(T));
    return all;
  }
  Context& context_;
  size_t count_, start_;
  Buffer buffer_;
};

template <class T>
std::vector<T> filled(int64_t count, T value) {
  return std::vector<T>(static_cast<size_t>(count), value);
}

std::vector<real> normals(int64_t count, uint32_t index, double deviation = 1) {
  Random random(1, Purpose::Test, 70, index);
  std::vector<real> values(static_cast<size_t>(count));
  for (real& value : values) value = static_cast<real>(deviation * random.normal());
  return values;
}

// Small whole numbers: sums of their products are exact.
std::vector<real> integers(int64_t count, uint32_t index) {
  Random random(1, Purpose::Test, 71, index);
  std::vector<real> values(static_cast<size_t>(count));
  for (real& value : values) value = static_cast<real>(static_cast<int>(random.below(7)) - 3);
  return values;
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

int32_t finite(Context& context, const std::vector<real>& values, int64_t shift = 0) {
  const Array<real> x(context, values, shift);
  const Array<int32_t> answer(context, {-1});
  ON_BACKEND(context.backend(),
             check_finite(context.stream(), x.data(), static_cast<int64_t>(values.size()), answer.data()));
  return answer.value();
}

const int64_t kCounts[] = {1, 2, 3, 5, 31, 256, 1021, 40009};

TEST_CASE("l2_norm against sums in long double, the same bits every time") {
  on_each_device([](Context& context) {
    for (const int64_t count : kCounts)
      for (const int64_t shift : {0, 1}) {
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

TEST_CASE("scale multiplies every value once") {
  on_each_device([](Context& context) {
    for (const int64_t count : kCounts)
      for (const int64_t shift : {0, 1}) {
        INFO("count ", count, " shift ", shift);
        std::vector<real> values = normals(count, 2);
        const Array<real> x(context, values, shift);
        const real factor = static_cast<real>(0.3);
        ON_BACKEND(context.backend(), scale(context.stream(), x.data(), count, factor));
        for (real& value : values) value *= factor;
        CHECK(x.values() == values);
      }
    const Array<real> x(context, {kInfinity, kNaN, 5, kLargest});
    ON_BACKEND(context.backend(), scale(context.stream(), x.data(), 4, real{0.5}));
    CHECK(x.values()[0] == kInfinity);
    CHECK(std::isnan(x.values()[1]));
    CHECK(x.values()[2] == real{2.5});
    CHECK(x.values()[3] == kLargest / 2);
  });
}

TEST_CASE("check_finite finds one bad value anywhere") {
  on_each_device([](Context& context) {
    for (const int64_t count : kCounts)
      for (const int64_t shift : {0, 1}) {
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
  });
}

TEST_CASE("arrays longer than a grid") {
  constexpr int64_t kCount = 5'000'011;
  on_each_device([](Context& context) {
    std::vector<real> values = filled(kCount, real{2});
    const Array<real> x(context, values);
    check_relative(norm_of(context, x, kCount), 2 * std::sqrt(static_cast<long double>(kCount)), kTolerance);
    ON_BACKEND(context.backend(), scale(context.stream(), x.data(), kCount, real{1.5}));
    CHECK(x.values() == filled(kCount, real{3}));
    CHECK(finite(context, values) == 1);
    values.back() = kInfinity;
    CHECK(finite(context, values) == 0);
    values.back() = 0;
    values[3 * kCount / 4] = kNaN;
    CHECK(finite(context, values) == 0);
  });
}

TEST_CASE("transpose: every element in its place, there and back") {
  struct Sizes {
    int64_t batch, rows, columns;
  };
  on_each_device([](Context& context) {
    for (const auto& [batch, rows, columns] : {Sizes{1, 1, 1},
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

TEST_CASE("random words and uniform numbers are those of Random") {
  constexpr uint64_t kSeed = 0x123456789abcdef0;
  on_each_device([](Context& context) {
    for (const int64_t count : {1, 2, 3, 4, 5, 7, 8, 1023, 1024, 4099})
      for (const int64_t shift : {0, 1}) {
        INFO("count ", count, " shift ", shift);
        Random words(kSeed, Purpose::Synth, 7, 0xfffffff0), pairs = words;
        std::vector<uint32_t> expected_bits(static_cast<size_t>(count));
        for (uint32_t& word : expected_bits) word = words.bits();
        const Array<uint32_t> bits(context, filled(count, 0U), shift);
        const auto purpose = static_cast<uint32_t>(Purpose::Synth);
        ON_BACKEND(context.backend(), random_bits(context.stream(), kSeed, purpose, 7, 0xfffffff0, bits.data(), count));
        CHECK(bits.values() == expected_bits);

        const Array<real> numbers(context, filled(count, kNaN), shift);
        ON_BACKEND(context.backend(),
                   random_uniform(context.stream(), kSeed, purpose, 7, 0xfffffff0, numbers.data(), count));
        const double step = std::numeric_limits<real>::epsilon() / 2;
        for (const real number : numbers.values()) {
          const double exact = pairs.uniform();
          CHECK(static_cast<double>(number) <= exact);
          CHECK(static_cast<double>(number) > exact - step);
        }
      }
  });
}

TEST_CASE("a uniform number never rounds up to 1") {
  on_each_device([](Context& context) {
    const Array<real> numbers(context, filled(4, kNaN));
    ON_BACKEND(context.backend(), random_uniform(context.stream(), 1, static_cast<uint32_t>(Purpose::Test), 0, 2821492,
                                                 numbers.data(), 4));
    const real last = numbers.values()[3];  // 0.99999998151799541, nearer to 1 than to float's largest number below it
    CHECK(last < 1);
    CHECK(last > static_cast<real>(0.9999999));
  });
}

TEST_CASE("squared_norms against sums in long double") {
  on_each_device([](Context& context) {
    for (const auto& [rows, d] : {std::pair<int64_t, int>{1, 1}, {3, 7}, {5, 256}, {2, 1021}, {67, 64}}) {
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
    for (const auto& [queries, gallery] : {std::pair<int64_t, int64_t>{1, 1}, {3, 8}, {5, 67}, {67, 300}, {2, 1030}}) {
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

// Numbers first, in a stable order; then the NaNs as they come.
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
      check_ranking(context, integers(queries * gallery, 9), queries);  // seven values only
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
