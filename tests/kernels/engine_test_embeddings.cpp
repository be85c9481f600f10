// The kernels on embeddings that stay on the device, on every backend of the build.
#include <doctest/doctest.h>

#include <cmath>

#include "kernels/embeddings.h"
#include "tests/support/kernel_test.h"

namespace mpanet::PRECISION {
namespace {

std::vector<float> floats(int64_t count, uint32_t index) {
  Random random(1, Purpose::Test, 1, index);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

TEST_CASE("keep_embeddings rounds to float, and makes the mean with what is there") {
  on_each_device([](Context& context) {
    for (const int64_t count : {1, 33, 1000}) {
      CAPTURE(count);
      const std::vector<real> first = normals(count, 1), second = normals(count, 2);
      const Array<real> a(context, first), b(context, second);
      const Array<float> to(context, count);
      ON_BACKEND(context.backend(), keep_embeddings(context.stream(), a.data(), count, false, to.data()));
      std::vector<float> expected;
      for (const real value : first) expected.push_back(static_cast<float>(value));
      CHECK(to.values() == expected);
      ON_BACKEND(context.backend(), keep_embeddings(context.stream(), b.data(), count, true, to.data()));
      for (size_t i = 0; i < expected.size(); i++) expected[i] = (expected[i] + static_cast<float>(second[i])) / 2;
      CHECK(to.values() == expected);
    }
  });
}

TEST_CASE("squared_lengths against sums in long double, beyond float's range, with NaN; equal rows are equal") {
  on_each_device([](Context& context) {
    for (const int d : {1, 7, 64, 1021, 2304})
      for (const size_t shift : {0, 1}) {
        CAPTURE(d);
        CAPTURE(shift);
        constexpr int64_t kRows = 6;
        std::vector<float> values = floats(kRows * d, 3);
        const auto row = [&](int64_t r) { return values.begin() + r * d; };
        std::copy_n(row(0), d, row(3));
        for (int i = 0; i < d; i++) row(1)[i] *= 0x1p120f;
        std::fill_n(row(2), d, 0.0f);
        row(5)[d / 2] = std::numeric_limits<float>::quiet_NaN();
        const Array<float> x(context, values, shift);
        const Array<double> squares(context, kRows);
        ON_BACKEND(context.backend(), squared_lengths(context.stream(), x.data(), kRows, d, squares.data()));
        const std::vector<double> got = squares.values();
        for (int64_t r = 0; r < 5; r++) {
          long double sum = 0;
          for (int i = 0; i < d; i++) sum += static_cast<long double>(row(r)[i]) * row(r)[i];
          // At most 2304 roundings of positive sums in double.
          CHECK(std::fabs(static_cast<double>(got[static_cast<size_t>(r)] - sum)) <= 1e-12 * static_cast<double>(sum));
        }
        CHECK(got[3] == got[0]);
        CHECK(std::isnan(got[5]));
      }
  });
}

TEST_CASE("scale_rows takes rows by index, in any order and several times") {
  on_each_device([](Context& context) {
    for (const int d : {1, 7, 64, 1021}) {
      CAPTURE(d);
      const std::vector<float> values = floats(5 * d, 4);
      const std::vector<int32_t> index = {4, 0, 0, 2};
      const std::vector<double> factors = {1.0 / 3, 0x1p-140, 0, 7};
      const Array<float> x(context, values);
      const Array<int32_t> rows(context, index);
      const Array<double> scale(context, factors);
      const Array<real> y(context, int64_t{4} * d);
      ON_BACKEND(context.backend(), scale_rows(context.stream(), x.data(), rows.data(), scale.data(), 4, d, y.data()));
      std::vector<real> expected;
      for (size_t r = 0; r < index.size(); r++)
        for (int i = 0; i < d; i++)
          expected.push_back(static_cast<real>(
              values[static_cast<size_t>(index[r]) * static_cast<size_t>(d) + static_cast<size_t>(i)] * factors[r]));
      CHECK(y.values() == expected);
    }
  });
}

}  // namespace
}  // namespace mpanet::PRECISION
