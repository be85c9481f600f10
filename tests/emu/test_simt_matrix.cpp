// The emulation's copies, matrix loads and matrix products against plain loops, and the rounding of bf16, f16 and tf32.
#define PRECISION f32
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "core/base/random.h"
#include "kernels/cuda/numeric.cuh"
#include "kernels/cuda/ptx.cuh"
#include "kernels/memory.h"

namespace mpanet::f32::emu {
namespace {

constexpr Stream kStream = nullptr;

// A kernel whose threads run body(thread).
using Body = std::function<void(int)>;
__global__ void body_kernel(const Body* body) { (*body)(static_cast<int>(threadIdx.x)); }
void launch(int threads, size_t shared_bytes, const Body& body) {
  LAUNCH(body_kernel, 1, threads, shared_bytes, kStream, &body);
}

template <class T>
using Values = std::array<T, kWarp>;

TEST_CASE("cp.async: sizes, zero fill, groups") {
  struct Space {
    alignas(16) unsigned char bytes[64];
  };
  alignas(16) unsigned char from[64];
  for (int i = 0; i < 64; i++) from[i] = static_cast<unsigned char>(i + 1);
  launch(1, sizeof(Space), [&](int) {
    Space& space = shared_memory<Space>();
    const auto holds = [&](int begin, int valid, int end) {
      bool right = true;
      for (int i = begin; i < end; i++) right &= space.bytes[i] == (i < begin + valid ? from[i] : 0);
      return right;
    };
    cp_async_16(space.bytes, from);
    cp_async_commit();
    cp_async_16(space.bytes + 16, from + 16, 5);
    cp_async<8>(space.bytes + 32, from + 32);
    cp_async_commit();
    cp_async<4>(space.bytes + 48, from + 48, 0);
    CHECK(space.bytes[0] == 0xff);
    cp_async_wait<1>();
    CHECK(holds(0, 16, 16));
    CHECK(space.bytes[16] == 0xff);
    cp_async_wait<0>();
    CHECK(holds(16, 5, 32));
    CHECK(holds(32, 8, 40));
    CHECK(space.bytes[48] == 0xff);  // in no group yet
    cp_async_wait_all();
    CHECK(holds(48, 0, 52));
  });
}

TEST_CASE("ldmatrix: rows, or columns with .trans, two elements to a register") {
  struct Tiles {
    uint16_t element[32][8];  // four matrices of eight rows
  };
  Values<std::array<uint32_t, 4>> rows{}, columns{};
  Values<uint32_t> one{};
  launch(kWarp, sizeof(Tiles), [&](int lane) {
    Tiles& tiles = shared_memory<Tiles>();
    for (int j = 0; j < 8; j++) tiles.element[lane][j] = static_cast<uint16_t>(100 * lane + j);
    __syncwarp();
    uint32_t four[4], single[1];
    ldmatrix(four, tiles.element[lane]);
    for (int m = 0; m < 4; m++) rows[lane][m] = four[m];
    ldmatrix_trans(four, tiles.element[lane]);
    for (int m = 0; m < 4; m++) columns[lane][m] = four[m];
    ldmatrix(single, lane < 8 ? tiles.element[8 + lane] : nullptr);
    one[lane] = single[0];
  });
  const auto pair = [](int low, int high) { return static_cast<uint32_t>(low | high << 16); };
  for (int lane = 0; lane < kWarp; lane++)
    for (int m = 0; m < 4; m++) {
      const int i = lane / 4, j = lane % 4 * 2;
      REQUIRE(rows[lane][m] == pair(100 * (8 * m + i) + j, 100 * (8 * m + i) + j + 1));
      REQUIRE(columns[lane][m] == pair(100 * (8 * m + j) + i, 100 * (8 * m + j + 1) + i));
      REQUIRE(one[lane] == rows[lane][1]);
    }
}

// Checks D = A B + D for small integers. `mma` gets lane, A (Rows, Depth), B (Depth, 8) and D.
template <int Rows, int Depth, class T, class Mma>
void check_product(const char* what, const Mma& mma) {
  Random random(1, Purpose::Test, 3, Depth);
  const auto fill = [&](auto& values) {
    for (auto& row : values)
      for (auto& value : row) value = static_cast<T>(static_cast<int>(random.below(17)) - 8);
  };
  static T a[Rows][Depth], b[Depth][8], d[Rows][8], got[Rows][8];
  fill(a), fill(b), fill(d);
  launch(kWarp, 0, [&](int lane) {
    const int g = lane / 4, t = lane % 4;
    T mine[Rows / 4];
    for (int i = 0; i < Rows / 4; i++) mine[i] = d[g + i / 2 * 8][2 * t + i % 2];
    mma(g, t, a, b, mine);
    for (int i = 0; i < Rows / 4; i++) got[g + i / 2 * 8][2 * t + i % 2] = mine[i];
  });
  for (int row = 0; row < Rows; row++)
    for (int column = 0; column < 8; column++) {
      T sum = d[row][column];
      for (int k = 0; k < Depth; k++) sum += a[row][k] * b[k][column];
      INFO(what << ", row " << row << ", column " << column);
      REQUIRE(got[row][column] == sum);
    }
}

template <class Half>
uint32_t two(float low, float high) {
  return Half(low).bits | static_cast<uint32_t>(Half(high).bits) << 16;
}

template <class Half, int Depth, class Mma>
void check_half_product(const char* what, const Mma& mma) {
  check_product<16, Depth, float>(what, [&](int g, int t, auto& a, auto& b, float(&d)[4]) {
    uint32_t ra[Depth / 4], rb[Depth / 8];
    for (int i = 0; i < Depth / 4; i++) {
      const int row = g + i % 2 * 8, k = 2 * t + i / 2 * 8;
      ra[i] = two<Half>(a[row][k], a[row][k + 1]);
    }
    for (int i = 0; i < Depth / 8; i++) rb[i] = two<Half>(b[2 * t + 8 * i][g], b[2 * t + 8 * i + 1][g]);
    mma(d, ra, rb);
  });
}

TEST_CASE("mma of every type against a plain loop, exactly") {
  check_half_product<bfloat16, 16>("bf16 k16", [](auto& d, auto& a, auto& b) { mma_bf16_k16(d, a, b); });
  check_half_product<bfloat16, 8>("bf16 k8", [](auto& d, auto& a, auto& b) { mma_bf16_k8(d, a, b); });
  check_half_product<float16, 16>("f16 k16", [](auto& d, auto& a, auto& b) { mma_f16_k16(d, a, b); });
  check_half_product<float16, 8>("f16 k8", [](auto& d, auto& a, auto& b) { mma_f16_k8(d, a, b); });
  check_product<16, 8, float>("tf32", [](int g, int t, auto& a, auto& b, float(&d)[4]) {
    const uint32_t ra[4] = {to_tf32(a[g][t]), to_tf32(a[g + 8][t]), to_tf32(a[g][t + 4]), to_tf32(a[g + 8][t + 4])};
    const uint32_t rb[2] = {to_tf32(b[t][g]), to_tf32(b[t + 4][g])};
    mma_tf32_k8(d, ra, rb);
  });
  check_product<8, 4, double>("f64",
                              [](int g, int t, auto& a, auto& b, double(&d)[2]) { mma_f64(d, a[g][t], b[t][g]); });
}

// Checks mma_fragments() against one mma a fragment, which the case above checks. With these factors of 2^-12 the sums
// are rounded.
template <class Half, class Mma>
void check_fragments(const char* what, const Mma& mma) {
  constexpr int kM = 2, kN = 4;
  static float together[kWarp][kM][kN][4], apart[kWarp][kM][kN][4];
  Random random(1, Purpose::Test, 4, 0);
  const auto number = [&] { return static_cast<float>(static_cast<int>(random.below(401)) - 200); };
  static uint32_t a[kWarp][kM][4], b[kWarp][kN / 2][4];
  for (int lane = 0; lane < kWarp; lane++) {
    for (auto& fragment : a[lane])
      for (uint32_t& bits : fragment) bits = two<Half>(number() * 0x1p-12f, number());
    for (auto& fragment : b[lane])
      for (uint32_t& bits : fragment) bits = two<Half>(number(), number() * 0x1p-12f);
    for (auto& row : together[lane])
      for (auto& fragment : row)
        for (float& sum : fragment) sum = number() * 0x1p-20f;
  }
  std::memcpy(apart, together, sizeof apart);
  launch(kWarp, 0, [&](int lane) {
    mma_fragments<Half>(together[lane], a[lane], b[lane]);
    for (int i = 0; i < kM; i++)
      for (int j = 0; j < kN; j++) {
        const uint32_t column[2] = {b[lane][j / 2][j % 2 * 2], b[lane][j / 2][j % 2 * 2 + 1]};
        mma(apart[lane][i][j], a[lane][i], column);
      }
  });
  INFO(what);
  REQUIRE(std::memcmp(together, apart, sizeof apart) == 0);
}

TEST_CASE("mma_fragments: the same bits as one mma a fragment") {
  check_fragments<bfloat16>("bf16", [](auto& d, auto& a, auto& b) { mma_bf16_k16(d, a, b); });
  check_fragments<float16>("f16", [](auto& d, auto& a, auto& b) { mma_f16_k16(d, a, b); });
}

// Checks that x is rounded to the nearer of two neighbours, ties to even.
template <class Half>
void check_rounding(float x, uint16_t below, uint16_t above, double value_below, double value_above) {
  const double low = x - value_below, high = value_above - x;
  const uint16_t expected = low < high || (low == high && below % 2 == 0) ? below : above;
  if (Half(x).bits != expected || Half(-x).bits != (expected | 0x8000)) {
    CAPTURE(x);
    REQUIRE(Half(x).bits == expected);
    REQUIRE(Half(-x).bits == (expected | 0x8000));
  }
}

// Checks every value of Half, and the points between it and the next value at which rounding changes. `infinity`: the
// bits of infinity.
template <class Half>
void check_all_roundings(uint16_t infinity) {
  const auto value = [](int bits) {
    Half half;
    half.bits = static_cast<uint16_t>(bits);
    return static_cast<float>(half);
  };
  for (int bits = 0; bits < infinity; bits++) {
    const auto at = static_cast<uint16_t>(bits), next = static_cast<uint16_t>(bits + 1);
    REQUIRE(Half(value(bits)).bits == at);
    REQUIRE(Half(-value(bits)).bits == (at | 0x8000));
    // For rounding, infinity counts as the next number with the same spacing.
    const double here = value(bits);
    const double there = next < infinity ? value(next) : 2 * here - value(bits - 1);
    const auto middle = static_cast<float>((here + there) / 2);
    for (const float x :
         {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, 1e38f),
          static_cast<float>(here + (there - here) / 4), static_cast<float>(there - (there - here) / 4)})
      if (x > here && x < there) check_rounding<Half>(x, at, next, here, there);
  }
  const float huge = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(Half(huge).bits == infinity);
  CHECK(Half(-huge).bits == (infinity | 0x8000));
  CHECK(Half(std::numeric_limits<float>::max()).bits == infinity);
  CHECK(std::isnan(static_cast<float>(Half(nan))));
  CHECK(std::isnan(static_cast<float>(Half(std::bit_cast<float>(0x7f800001u)))));
  CHECK(Half(std::numeric_limits<float>::denorm_min()).bits == 0);
}

TEST_CASE("bf16 and f16 round to nearest even, everywhere") {
  check_all_roundings<bfloat16>(0x7f80);
  check_all_roundings<float16>(0x7c00);
}

TEST_CASE("f16 in plain integers is the machine's f16") {
  for (uint64_t u = 0; u < uint64_t{1} << 32; u += 509) {  // a prime step: every exponent, many fractions
    const float x = std::bit_cast<float>(static_cast<uint32_t>(u));
    if (std::isnan(x) || float16_bits(x) == float16(x).bits) continue;
    CAPTURE(x);
    REQUIRE(float16_bits(x) == float16(x).bits);
  }
}

TEST_CASE("tf32 keeps ten fraction bits, rounded to nearest, halves away from zero") {
  const auto rounded = [](float x) { return std::bit_cast<float>(to_tf32(x)); };
  for (const float sign : {1.0f, -1.0f})
    for (const float scale : {1.0f, 0x1p-100f, 0x1p+100f}) {
      const float one = sign * scale, ulp = one * 0x1p-10f;
      CHECK(rounded(one) == one);
      CHECK(rounded(one + ulp) == one + ulp);
      CHECK(rounded(one + ulp / 2) == one + ulp);
      CHECK(rounded(one + ulp * 0.499f) == one);
      CHECK(rounded(one + ulp * 1.5f) == one + 2 * ulp);
    }
  CHECK(std::isinf(rounded(std::numeric_limits<float>::infinity())));
  CHECK(std::isinf(rounded(std::numeric_limits<float>::max())));
  CHECK(std::isnan(rounded(std::numeric_limits<float>::quiet_NaN())));
}

}  // namespace
}  // namespace mpanet::f32::emu
