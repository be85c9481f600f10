// What the tests of kernels share: buffers with guard zones, and integers that every precision holds exactly.
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/random.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION {

// Device memory of `count` elements between two guard zones; the destructor finds who wrote past an end.
template <class T>
class Guarded {
 public:
  explicit Guarded(int64_t count,
                   T fill = std::numeric_limits<T>::has_quiet_NaN ? std::numeric_limits<T>::quiet_NaN() : T{77})
      : memory_(static_cast<size_t>(count + 2 * kGuard), kMark), count_(count) {
    std::fill_n(data(), count, fill);
  }
  explicit Guarded(const std::vector<T>& values) : Guarded(static_cast<int64_t>(values.size())) {
    std::copy(values.begin(), values.end(), data());
  }
  ~Guarded() {
    const auto marked = [](T value) { return value == kMark; };
    CHECK_MESSAGE(std::all_of(memory_.begin(), memory_.begin() + kGuard, marked), "a kernel wrote before its output");
    CHECK_MESSAGE(std::all_of(memory_.end() - kGuard, memory_.end(), marked), "a kernel wrote past its output");
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  T* data() { return memory_.data() + kGuard; }
  T& operator[](int64_t i) { return data()[i]; }
  int64_t count() const { return count_; }
  std::vector<T> values() { return {data(), data() + count_}; }

 private:
  static constexpr int64_t kGuard = 64;
  static constexpr T kMark = T{113};
  std::vector<T> memory_;
  int64_t count_;
};

// Whole numbers in -range..range: sums of their products are exact while they stay below 2^24.
inline std::vector<real> integers(int64_t count, uint32_t index, int range = 3) {
  Random random(1, Purpose::Test, 0, index);
  std::vector<real> values(static_cast<size_t>(count));
  for (real& value : values)
    value = static_cast<real>(static_cast<int>(random.below(static_cast<uint32_t>(2 * range + 1))) - range);
  return values;
}

inline std::vector<real> normals(int64_t count, uint32_t index, double mean = 0, double deviation = 1) {
  Random random(1, Purpose::Test, 1, index);
  std::vector<real> values(static_cast<size_t>(count));
  for (real& value : values) value = static_cast<real>(mean + deviation * random.normal());
  return values;
}

// Fails with the first place where the two differ at all.
inline void check_exact(const std::vector<real>& got, const std::vector<real>& expected, const std::string& what) {
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); i++) {
    if (got[i] == expected[i]) continue;
    FAIL_CHECK(what << ": element " << i << ": got " << got[i] << ", expected " << expected[i]);
    return;
  }
}

// Fails with the worst element when |got - expected| exceeds tolerance * (scale + |expected|).
template <class Expected>
void check_close(const std::vector<real>& got, const std::vector<Expected>& expected, double tolerance,
                 const std::string& what, double scale = 1) {
  REQUIRE(got.size() == expected.size());
  double worst = 0;
  size_t place = 0;
  for (size_t i = 0; i < got.size(); i++) {
    const double e = static_cast<double>(expected[i]), error = std::abs(static_cast<double>(got[i]) - e);
    const double share = error / (tolerance * (scale + std::abs(e)));
    if (!(share <= worst)) worst = share, place = i;
  }
  CHECK_MESSAGE(worst <= 1, what << ": element " << place << ": got " << got[place] << ", expected "
                                 << static_cast<double>(expected[place]) << " (" << worst << " of the tolerance)");
}

}  // namespace mpanet::PRECISION
