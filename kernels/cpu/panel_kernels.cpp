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

#include "kernels/cpu/panel_winograd.inc"

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
