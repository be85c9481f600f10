// Helpers for the tests of kernels: the devices to run on, arrays in device memory, and integers that every precision
// represents exactly.
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "core/base/random.h"
#include "core/context.h"
#include "core/tensor.h"
#include "kernels/kernels.h"
#include "tests/support/flags.h"

namespace mpanet::PRECISION {

// The device that MPANET_TEST_DEVICE names; without it the cpu backend, and the emulated GPU if the build has it.
inline std::vector<Device> test_devices() {
  if (const char* name = std::getenv("MPANET_TEST_DEVICE")) return {choose_device(name)};
#if defined(MPANET_HAS_EMU)
  return {Backend::cpu, Backend::emu};
#else
  return {Backend::cpu};
#endif
}

// Calls body(context) on each device, with guard zones around all memory.
template <class Body>
void on_each_device(const Body& body) {
  for (const Device device : test_devices()) {
    CAPTURE(name_of(device));
    Context context(device, Guards::On);
    body(context);
    CHECK_NOTHROW(context.synchronize());  // checks the guard zones
  }
}

inline real to_storage(real value) { return static_cast<real>(static_cast<storage>(value)); }

// The numbers rounded to the storage type.
inline std::vector<real> rounded(std::vector<real> values) {
  std::transform(values.begin(), values.end(), values.begin(), to_storage);
  return values;
}

// The storage type's unit roundoff; 0 if storage is real.
inline double storage_rounding() {
  if (std::is_same_v<storage, real>) return 0;
  return std::is_same_v<storage, bfloat16> ? 0x1p-8 : 0x1p-11;
}

// Device memory of `count` elements, `shift` elements after an address that is aligned for packs of 16 bytes. In a
// guarded context there is NaN before and after them.
template <class T>
class Array {
 public:
  // The elements' type on the host.
  using Number = std::conditional_t<std::is_same_v<T, storage>, real, T>;

  // Every byte is 255: NaN for floating-point types.
  template <std::integral Count>
  Array(Context& context, Count count) : Array(0, context, static_cast<size_t>(count)) {}
  Array(Context& context, const std::vector<Number>& values, size_t shift = 0) : Array(shift, context, values.size()) {
    std::vector<T> narrow;
    for (const Number v : values) narrow.push_back(static_cast<T>(v));
    context_.to_device(data(), narrow.data(), narrow.size() * sizeof(T));
  }
  Array(Context& context, int64_t count, Number fill)
      : Array(context, std::vector<Number>(static_cast<size_t>(count), fill)) {}
  T* data() const { return buffer_.template as<T>() + shift_; }
  int64_t count() const { return static_cast<int64_t>(count_); }
  std::vector<Number> values() const {
    std::vector<T> narrow(count_);
    context_.to_host(narrow.data(), data(), narrow.size() * sizeof(T));
    std::vector<Number> values;
    for (const T v : narrow) values.push_back(static_cast<Number>(v));
    return values;
  }
  Number value() const { return values().at(0); }

 private:
  Array(size_t shift, Context& context, size_t count)
      : context_(context), count_(count), shift_(shift), buffer_(context, (shift + count) * sizeof(T)) {
    const std::vector<unsigned char> bytes(buffer_.bytes(), 0xff);
    context_.to_device(buffer_.as<char>(), bytes.data(), bytes.size());
  }
  Context& context_;
  size_t count_, shift_;
  Buffer buffer_;
};

using Stored = Array<storage>;
using Reals = Array<real>;
using Bytes = Array<unsigned char>;

// Integers in -range..range. Sums of their products are exact while they are below 2^24.
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

// Fails with the first element that differs.
inline void check_exact(const std::vector<real>& got, const std::vector<real>& expected, const std::string& what) {
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); i++) {
    if (got[i] == expected[i]) continue;
    FAIL_CHECK(what << ": element " << i << ": got " << got[i] << ", expected " << expected[i]);
    return;
  }
}

// Fails with the worst element when |got - expected| exceeds tolerance * (scale + |expected|) + rounding * |expected|.
// rounding: storage_rounding() for results of the storage type.
template <class Expected>
void check_close(const std::vector<real>& got, const std::vector<Expected>& expected, double tolerance,
                 const std::string& what, double scale = 1, double rounding = 0) {
  REQUIRE(got.size() == expected.size());
  double worst = 0;
  size_t index = 0;
  for (size_t i = 0; i < got.size(); i++) {
    const double e = static_cast<double>(expected[i]), error = std::abs(static_cast<double>(got[i]) - e);
    const double fraction = error / (tolerance * (scale + std::abs(e)) + rounding * std::abs(e));
    if (!(fraction <= worst)) worst = fraction, index = i;
  }
  CHECK_MESSAGE(worst <= 1, what << ": element " << index << ": got " << got[index] << ", expected "
                                 << static_cast<double>(expected[index]) << " (" << worst << " of the tolerance)");
}

}  // namespace mpanet::PRECISION
