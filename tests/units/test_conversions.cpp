// The conversions of rows of 16-bit numbers (kernels/cpu/panel_kernels.h) with every instruction set that the processor
// has, against those of core/base/real.h, which test_real compares with their definitions. Bits are equal, but for the
// payload of a widened NaN.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <vector>

#include "core/base/real.h"
#include "kernels/cpu/panel_kernels.h"

namespace {

using namespace mpanet;

// Calls body(kernels) with those of each instruction set.
template <class Body>
void on_each_instruction_set(const Body& body) {
  const auto all = cpu::all_panel_kernels();
  REQUIRE(!all.empty());
  for (const auto* kernels : all) {
    CAPTURE(kernels->instruction_set);
    body(*kernels);
  }
}

// The number of wrong results for these floats.
int64_t wrong(const cpu::PanelKernels& kernels, const std::vector<float>& from) {
  std::vector<uint16_t> bfloat16s(from.size()), float16s(from.size());
  kernels.narrow_bfloat16(from.data(), static_cast<int64_t>(from.size()), bfloat16s.data());
  kernels.narrow_float16(from.data(), static_cast<int64_t>(from.size()), float16s.data());
  int64_t count = 0;
  for (size_t i = 0; i < from.size(); i++) {
    count += bfloat16s[i] != bfloat16(from[i]).bits;
    count += float16s[i] != float16_bits(from[i]);
  }
  return count;
}

TEST_CASE("widening, every pattern") {
  std::vector<uint16_t> all(1 << 16);
  for (size_t i = 0; i < all.size(); i++) all[i] = static_cast<uint16_t>(i);
  on_each_instruction_set([&](const cpu::PanelKernels& kernels) {
    std::vector<float> wide(all.size());
    const auto differs = [&](size_t i, float expected) {
      return std::isnan(expected) ? !std::isnan(wide[i])
                                  : std::bit_cast<uint32_t>(wide[i]) != std::bit_cast<uint32_t>(expected);
    };
    for (const size_t end : {all.size(), all.size() - 1}) {  // without and with a tail
      int count = 0;
      kernels.widen_float16(all.data(), static_cast<int64_t>(end), wide.data());
      for (size_t i = 0; i < end; i++) count += differs(i, float16_value(all[i]));
      CHECK(count == 0);
      kernels.widen_bfloat16(all.data(), static_cast<int64_t>(end), wide.data());
      for (size_t i = 0; i < end; i++) count += differs(i, std::bit_cast<float>(uint32_t{all[i]} << 16));
      CHECK(count == 0);
    }
  });
}

TEST_CASE("narrowing: every number of 16 bits, its neighbours in float, midpoints and their neighbours") {
  std::vector<float> from;
  for (uint32_t i = 0; i < (1u << 16); i++) {
    const float half = float16_value(static_cast<uint16_t>(i)), next = float16_value(static_cast<uint16_t>(i + 1));
    for (const float v :
         {half, half + (next - half) / 2, std::bit_cast<float>(i << 16), std::bit_cast<float>(i << 16 | 0x8000u)}) {
      const uint32_t bits = std::bit_cast<uint32_t>(v);
      for (const uint32_t near : {bits - 1, bits, bits + 1}) from.push_back(std::bit_cast<float>(near));
    }
  }
  for (const float v : {65519.0F, 65520.0F, 1e30F, -1e30F, 1e-30F}) from.push_back(v);
  on_each_instruction_set([&](const cpu::PanelKernels& kernels) { CHECK(wrong(kernels, from) == 0); });
}

std::vector<float> floats(uint64_t first, uint64_t end, uint64_t step) {
  std::vector<float> values;
  for (uint64_t bits = first; bits < end; bits += step)
    values.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  return values;
}

TEST_CASE("narrowing: a sample of all floats") {
  const std::vector<float> from = floats(0, uint64_t{1} << 32, 1021);
  on_each_instruction_set([&](const cpu::PanelKernels& kernels) { CHECK(wrong(kernels, from) == 0); });
}

TEST_CASE("narrowing: all floats" * doctest::skip()) {
  constexpr int64_t kPart = 1 << 20;
  on_each_instruction_set([&](const cpu::PanelKernels& kernels) {
    int64_t count = 0;
#pragma omp parallel for reduction(+ : count)
    for (int64_t first = 0; first < int64_t{1} << 32; first += kPart)
      count += wrong(kernels, floats(static_cast<uint64_t>(first), static_cast<uint64_t>(first + kPart), 1));
    CHECK(count == 0);
  });
}

}  // namespace
