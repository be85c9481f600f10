// This file is compiled once per instruction set: foreach_target.h includes it again.
#include "kernels/cpu/panel_kernels.h"

#include <atomic>
#include <bit>

#include "core/base/real.h"

// Processors with SSSE3 but not SSE4.1 are rare.
#define HWY_DISABLED_TARGETS HWY_SSSE3
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/panel_kernels.cpp"
#include <hwy/foreach_target.h>
// Behind foreach_target.h.
#include <hwy/cache_control.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace mpanet::cpu::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
constexpr int kColumns = 2 * kLanes;
// Sums, two vectors of a panel and a broadcast element fit into 32 or 16 registers.
constexpr int kRows = kLanes == 16 ? 14 : 6;
constexpr int kRowStride = (kRows + kLanes - 1) / kLanes * kLanes;
// Groups in a block of the depth. With 16 registers a tile has few rows, so a panel is read more often, and its block
// should stay in the L1 cache.
constexpr int kDepth = kLanes == 16 ? kDepthGroups : kDepthGroups / 2;
constexpr int kAhead = 12;  // a row of a panel is prefetched so many rows before it is used
constexpr int kVectorsOfGroup = kGroup / kLanes;

HWY_ATTR void multiply(const float* HWY_RESTRICT left, const float* HWY_RESTRICT right, int64_t groups, bool add,
                       float* HWY_RESTRICT sums) {
  const D d;
  V sum[kRows][2];
#pragma GCC unroll 16
  for (int m = 0; m < kRows; m++) {
    sum[m][0] = add ? hn::LoadU(d, sums + m * kColumns) : hn::Zero(d);
    sum[m][1] = add ? hn::LoadU(d, sums + m * kColumns + kLanes) : hn::Zero(d);
  }
  for (int64_t g = 0; g < groups; g++) {
#pragma GCC unroll 4
    for (int i = 0; i < kGroup; i++) {
      const V right0 = hn::LoadU(d, right), right1 = hn::LoadU(d, right + kLanes);
      hwy::Prefetch(right + kAhead * kColumns);
      if (kColumns > kGroup) hwy::Prefetch(right + kAhead * kColumns + kGroup);
      right += kColumns;
#pragma GCC unroll 16
      for (int m = 0; m < kRows; m++) {
        const V element = hn::Set(d, left[m * kGroup + i]);
        sum[m][0] = hn::MulAdd(element, right0, sum[m][0]);
        sum[m][1] = hn::MulAdd(element, right1, sum[m][1]);
      }
    }
    left += kRows * kGroup;
  }
#pragma GCC unroll 16
  for (int m = 0; m < kRows; m++) {
    hn::StoreU(sum[m][0], d, sums + m * kColumns);
    hn::StoreU(sum[m][1], d, sums + m * kColumns + kLanes);
  }
}

template <int kTile>
HWY_ATTR void multiply_tile(const float* HWY_RESTRICT left, const float* HWY_RESTRICT right, int64_t depth, bool add,
                            float* HWY_RESTRICT sums, ptrdiff_t sums_stride) {
  const D d;
  V sum[kTile][2];
#pragma GCC unroll 16
  for (int m = 0; m < kTile; m++) {
    sum[m][0] = add ? hn::LoadU(d, sums + m * sums_stride) : hn::Zero(d);
    sum[m][1] = add ? hn::LoadU(d, sums + m * sums_stride + kLanes) : hn::Zero(d);
  }
#pragma GCC unroll 2
  for (int64_t i = 0; i < depth; i++) {
    const V right0 = hn::LoadU(d, right), right1 = hn::LoadU(d, right + kLanes);
    hwy::Prefetch(right + kAhead * kColumns);
    if (kColumns > kGroup) hwy::Prefetch(right + kAhead * kColumns + kGroup);
#pragma GCC unroll 16
    for (int m = 0; m < kTile; m++) {
      const V element = hn::Set(d, left[m]);
      sum[m][0] = hn::MulAdd(element, right0, sum[m][0]);
      sum[m][1] = hn::MulAdd(element, right1, sum[m][1]);
    }
    right += kColumns;
    left += kRowStride;
  }
#pragma GCC unroll 16
  for (int m = 0; m < kTile; m++) {
    hn::StoreU(sum[m][0], d, sums + m * sums_stride);
    hn::StoreU(sum[m][1], d, sums + m * sums_stride + kLanes);
  }
}

// The last tile of a factor may have fewer rows. An instance of multiply_tile() exists for each even number of rows.
template <int kTile>
HWY_ATTR void multiply_up_to(const float* left, const float* right, int64_t depth, int tile_rows, bool add, float* sums,
                             ptrdiff_t sums_stride) {
  if constexpr (kTile > 2) {
    if (tile_rows <= kTile - 2) return multiply_up_to<kTile - 2>(left, right, depth, tile_rows, add, sums, sums_stride);
  }
  multiply_tile<kTile>(left, right, depth, add, sums, sums_stride);
}

HWY_ATTR void multiply_transposed(const float* left, const float* right, int64_t depth, int tile_rows, bool add,
                                  float* sums, ptrdiff_t sums_stride) {
  multiply_up_to<kRows>(left, right, depth, tile_rows, add, sums, sums_stride);
}

HWY_ATTR void spread_rows(const float* row, int count, ptrdiff_t step, float* left) {
  const D d;
  int m = 0;
  for (; m + kRowStride <= count; m += kRows, left += step)
    for (int v = 0; v < kRowStride; v += kLanes) hn::StoreU(hn::LoadU(d, row + m + v), d, left + v);
  for (; m < count; m += kRows, left += step)
    for (int i = 0; i < kRows; i++) left[i] = m + i < count ? row[m + i] : 0.0F;
}

HWY_ATTR void spread_columns(const float* row, int count, ptrdiff_t step, float* right) {
  const D d;
  int j = 0;
  for (; j + kColumns <= count; j += kColumns, right += step) {
    hn::StoreU(hn::LoadU(d, row + j), d, right);
    hn::StoreU(hn::LoadU(d, row + j + kLanes), d, right + kLanes);
  }
  if (j == count) return;
  for (int i = 0; i < kColumns; i++) right[i] = j + i < count ? row[j + i] : 0.0F;
}

HWY_ATTR void pack(const float* const* from, int64_t groups, float* left) {
  const D d;
  for (int m = 0; m < kRows; m++) {
    const float* row = from[m];
    float* to = left + m * kGroup;
    for (int64_t g = 0; g < groups; g++, to += kRows * kGroup) {
      for (int v = 0; v < kVectorsOfGroup; v++)
        hn::StoreU(row != nullptr ? hn::LoadU(d, row + g * kGroup + v * kLanes) : hn::Zero(d), d, to + v * kLanes);
    }
  }
}

HWY_ATTR void widen_bfloat16(const uint16_t* from, int64_t count, float* to) {
  const hn::RebindToUnsigned<D> wide;
  const hn::Rebind<uint16_t, D> narrow;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    hn::StoreU(hn::BitCast(D(), hn::ShiftLeft<16>(hn::PromoteTo(wide, hn::LoadU(narrow, from + i)))), D(), to + i);
  for (; i < count; i++) to[i] = std::bit_cast<float>(uint32_t{from[i]} << 16);
}

HWY_ATTR void narrow_bfloat16(const float* from, int64_t count, uint16_t* to) {
  const hn::RebindToUnsigned<D> wide;
  const hn::Rebind<uint16_t, D> narrow;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const V value = hn::LoadU(D(), from + i);
    const auto bits = hn::BitCast(wide, value), upper = hn::ShiftRight<16>(bits);
    // To nearest, ties to even: adds half of the last kept bit, minus one, plus one if the last kept bit is set.
    const auto odd = hn::And(upper, hn::Set(wide, 1));
    const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(wide, 0x7fff))));
    const auto nan = hn::Or(upper, hn::Set(wide, 0x40));
    const auto is_nan = hn::RebindMask(wide, hn::IsNaN(value));
    hn::StoreU(hn::TruncateTo(narrow, hn::IfThenElse(is_nan, nan, rounded)), narrow, to + i);
  }
  for (; i < count; i++) to[i] = bfloat16(from[i]).bits;
}

// On targets without conversion instructions (F16C) Highway's own conversions neither round nor keep infinities.
constexpr bool kConvertsFloat16 = HWY_TARGET <= HWY_AVX2;

HWY_ATTR void widen_float16(const uint16_t* from, int64_t count, float* to) {
  const hn::Rebind<uint16_t, D> bits;
  const hn::Rebind<hwy::float16_t, D> narrow;
  int64_t i = 0;
  for (; kConvertsFloat16 && i + kLanes <= count; i += kLanes)
    hn::StoreU(hn::PromoteTo(D(), hn::BitCast(narrow, hn::LoadU(bits, from + i))), D(), to + i);
  for (; i < count; i++) to[i] = float16_value(from[i]);
}

HWY_ATTR void narrow_float16(const float* from, int64_t count, uint16_t* to) {
  const hn::Rebind<uint16_t, D> bits;
  const hn::Rebind<hwy::float16_t, D> narrow;
  int64_t i = 0;
  for (; kConvertsFloat16 && i + kLanes <= count; i += kLanes)
    hn::StoreU(hn::BitCast(bits, hn::DemoteTo(narrow, hn::LoadU(D(), from + i))), bits, to + i);
  for (; i < count; i++) to[i] = float16_bits(from[i]);
}

// ReLU; NaN for NaN.
HWY_ATTR HWY_INLINE V rectified(V value) { return hn::IfThenZeroElse(hn::Lt(value, hn::Zero(D())), value); }

HWY_ATTR HWY_INLINE void store_vector(V value, int64_t at, int64_t column, const Finish& finish, float* y) {
  const D d;
  if (finish.shift != nullptr) value = hn::Add(value, hn::LoadU(d, finish.shift + column));
  if (finish.residual != nullptr) value = hn::Add(value, hn::LoadU(d, finish.residual + at));
  hn::StoreU(finish.relu ? rectified(value) : value, d, y + at);
}

HWY_ATTR HWY_INLINE void store_scalar(float value, int64_t at, int64_t column, const Finish& finish, float* y) {
  if (finish.shift != nullptr) value += finish.shift[column];
  if (finish.residual != nullptr) value += finish.residual[at];
  y[at] = finish.relu && value < 0 ? 0.0F : value;
}

HWY_ATTR void store(const float* sums, int count, int width, const int64_t* offsets, int64_t column,
                    const Finish& finish, float* y) {
  for (int m = 0; m < count; m++) {
    const float* row = sums + m * kColumns;
    int j = 0;
    for (; j + kLanes <= width; j += kLanes)
      store_vector(hn::LoadU(D(), row + j), offsets[m] + column + j, column + j, finish, y);
    for (; j < width; j++) store_scalar(row[j], offsets[m] + column + j, column + j, finish, y);
  }
}

// B' d B, with B' = (1 0 -1 0, 0 1 1 0, 0 -1 1 0, 0 1 0 -1). address(n): where vector n of product 0 is stored.
template <class Address>
HWY_ATTR HWY_INLINE void input_of(const float* const pixels[16], int64_t groups, ptrdiff_t product_step,
                                  const Address& address) {
  static constexpr float kZeros[kGroup] = {};
  const D d;
  const float* from[16];
  int64_t step[16];
  for (int p = 0; p < 16; p++) {
    from[p] = pixels[p] != nullptr ? pixels[p] : kZeros;
    step[p] = pixels[p] != nullptr ? 1 : 0;
  }
  for (int64_t g = 0; g < groups; g++) {
    for (int v = 0; v < kVectorsOfGroup; v++) {
      const int64_t at = g * kGroup;
      V rows[4][4];
#pragma GCC unroll 4
      for (int x = 0; x < 4; x++) {
        const V d0 = hn::LoadU(d, from[x] + step[x] * at + v * kLanes);
        const V d1 = hn::LoadU(d, from[4 + x] + step[4 + x] * at + v * kLanes);
        const V d2 = hn::LoadU(d, from[8 + x] + step[8 + x] * at + v * kLanes);
        const V d3 = hn::LoadU(d, from[12 + x] + step[12 + x] * at + v * kLanes);
        rows[0][x] = hn::Sub(d0, d2);
        rows[1][x] = hn::Add(d1, d2);
        rows[2][x] = hn::Sub(d2, d1);
        rows[3][x] = hn::Sub(d1, d3);
      }
      float* to = address(g * kVectorsOfGroup + v);
#pragma GCC unroll 4
      for (int y = 0; y < 4; y++) {
        const V* r = rows[y];
        hn::StoreU(hn::Sub(r[0], r[2]), d, to + (4 * y + 0) * product_step);
        hn::StoreU(hn::Add(r[1], r[2]), d, to + (4 * y + 1) * product_step);
        hn::StoreU(hn::Sub(r[2], r[1]), d, to + (4 * y + 2) * product_step);
        hn::StoreU(hn::Sub(r[1], r[3]), d, to + (4 * y + 3) * product_step);
      }
    }
  }
}

HWY_ATTR void winograd_input(const float* const pixels[16], int64_t groups, ptrdiff_t product_step, float* left) {
  input_of(pixels, groups, product_step, [left](int64_t n) HWY_ATTR {
    return left + n / kVectorsOfGroup * (kGroup * kRows) + n % kVectorsOfGroup * kLanes;
  });
}

HWY_ATTR void winograd_columns(const float* const pixels[16], int64_t groups, ptrdiff_t product_step,
                               ptrdiff_t panel_step, float* right) {
  const auto address = [=](int64_t n) HWY_ATTR { return right + n / 2 * panel_step + n % 2 * kLanes; };
  input_of(pixels, groups, product_step, address);
  const int64_t vectors = groups * kVectorsOfGroup;
  for (int p = 0; p < 16 && vectors % 2 != 0; p++) hn::StoreU(hn::Zero(D()), D(), address(vectors) + p * product_step);
}

// A d A', with A = (1 0, 1 1, 1 -1, 0 -1).
HWY_ATTR void winograd_gradient(const float* const pixels[4], int64_t groups, float* rows) {
  const D d;
  const int64_t count = groups * kGroup;
  const V zero = hn::Zero(d);
  for (int64_t at = 0; at < count; at += kLanes) {
    V from[4], half[4][2];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) from[i] = pixels[i] != nullptr ? hn::LoadU(d, pixels[i] + at) : zero;
#pragma GCC unroll 2
    for (int x = 0; x < 2; x++) {
      half[0][x] = from[x];
      half[1][x] = hn::Add(from[x], from[2 + x]);
      half[2][x] = hn::Sub(from[x], from[2 + x]);
      half[3][x] = hn::Neg(from[2 + x]);
    }
#pragma GCC unroll 4
    for (int y = 0; y < 4; y++) {
      float* to = rows + 4 * y * count + at;
      hn::StoreU(half[y][0], d, to);
      hn::StoreU(hn::Add(half[y][0], half[y][1]), d, to + count);
      hn::StoreU(hn::Sub(half[y][0], half[y][1]), d, to + 2 * count);
      hn::StoreU(hn::Neg(half[y][1]), d, to + 3 * count);
    }
  }
}

// A' m A, with A' = (1 1 1 0, 0 1 -1 -1), for one column of vectors or numbers.
template <class T, class Add, class Sub>
HWY_ATTR HWY_INLINE void output_of(const T (&m)[16], const Add& add, const Sub& sub, T (&out)[4]) {
  T rows[2][4];
#pragma GCC unroll 4
  for (int x = 0; x < 4; x++) {
    rows[0][x] = add(add(m[x], m[4 + x]), m[8 + x]);
    rows[1][x] = sub(sub(m[4 + x], m[8 + x]), m[12 + x]);
  }
#pragma GCC unroll 2
  for (int y = 0; y < 2; y++) {
    out[2 * y] = add(add(rows[y][0], rows[y][1]), rows[y][2]);
    out[2 * y + 1] = sub(sub(rows[y][1], rows[y][2]), rows[y][3]);
  }
}

HWY_ATTR void winograd_output(const float* sums, ptrdiff_t product_step, int count, int width, const int64_t* offsets,
                              int64_t column, const Finish& finish, float* y) {
  const D d;
  for (int m = 0; m < count; m++) {
    const int64_t* pixel = offsets + int64_t{4} * m;
    int j = 0;
    for (; j + kLanes <= width; j += kLanes) {
      V products[16], out[4];
#pragma GCC unroll 16
      for (int p = 0; p < 16; p++) products[p] = hn::LoadU(d, sums + p * product_step + m * kColumns + j);
      output_of(
          products, [](V a, V b) HWY_ATTR { return hn::Add(a, b); }, [](V a, V b) HWY_ATTR { return hn::Sub(a, b); },
          out);
      for (int i = 0; i < 4; i++)
        if (pixel[i] >= 0) store_vector(out[i], pixel[i] + column + j, column + j, finish, y);
    }
    for (; j < width; j++) {
      float products[16], out[4];
      for (int p = 0; p < 16; p++) products[p] = sums[p * product_step + m * kColumns + j];
      output_of(
          products, [](float a, float b) { return a + b; }, [](float a, float b) { return a - b; }, out);
      for (int i = 0; i < 4; i++)
        if (pixel[i] >= 0) store_scalar(out[i], pixel[i] + column + j, column + j, finish, y);
    }
  }
}

}  // namespace

const PanelKernels* kernels() {
  static const PanelKernels kKernels{.instruction_set = hwy::TargetName(HWY_TARGET),
                                     .rows = kRows,
                                     .columns = kColumns,
                                     .row_stride = kRowStride,
                                     .depth_groups = kDepth,
                                     .multiply = multiply,
                                     .multiply_transposed = multiply_transposed,
                                     .spread_rows = spread_rows,
                                     .spread_columns = spread_columns,
                                     .pack = pack,
                                     .widen_bfloat16 = widen_bfloat16,
                                     .widen_float16 = widen_float16,
                                     .narrow_bfloat16 = narrow_bfloat16,
                                     .narrow_float16 = narrow_float16,
                                     .store = store,
                                     .winograd_input = winograd_input,
                                     .winograd_columns = winograd_columns,
                                     .winograd_gradient = winograd_gradient,
                                     .winograd_output = winograd_output};
  return &kKernels;
}

}  // namespace mpanet::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mpanet::cpu {

HWY_EXPORT(kernels);

namespace {

std::atomic<const PanelKernels*> g_chosen = nullptr;

}  // namespace

const PanelKernels& panel_kernels() {
  const PanelKernels* chosen = g_chosen.load(std::memory_order_relaxed);
  if (chosen == nullptr) g_chosen = chosen = HWY_DYNAMIC_DISPATCH(kernels)();
  return *chosen;
}

std::vector<const PanelKernels*> all_panel_kernels() {
  std::vector<const PanelKernels*> all;
  for (int64_t left = hwy::SupportedTargets() & HWY_TARGETS; left != 0; left &= left - 1) {
    hwy::SetSupportedTargetsForTest(left & -left);
    all.push_back(HWY_DYNAMIC_DISPATCH(kernels)());
  }
  hwy::SetSupportedTargetsForTest(0);
  return all;
}

void force_panel_kernels(const PanelKernels* kernels) { g_chosen = kernels; }

}  // namespace mpanet::cpu
#endif
