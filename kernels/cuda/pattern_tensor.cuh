// Products of the pattern alignment kernels on tensor cores, where x has 16 bits: mma.sync m16n8k8 in TF32. TF32 holds
// a number of 16 bits exactly. The other factor is a float; its high and its low part are multiplied, both of TF32, and
// together they have 22 of the float's 24 bits.
//
// A warp has up to kUnits units of 64 channels, a group has 8 pixels. With g = lane / 4, t = lane % 4 and q = 0 .. 3
// the four instructions of a product have these channels:
//
//   product                           channels of instruction q
//   dots (map, pixel), of x and maps' rows   8t + 2q, + 1 of 32: a lane loads 8 adjacent ones of pixel g, and of row g
//   sums (channel, map), over pixels         8g + 2q, + 1 of 64: a lane loads 8 adjacent ones of pixels t and t + 4
//   dx (channel, pixel), over maps' rows     8g + 2q, + 1 of 64: a lane loads 8 adjacent ones of rows t and t + 4, and
//                                            has those of dx of pixels 2t and 2t + 1
//
// In dots the high parts are rows 0 .. 7 of A and the low ones rows 8 .. 15, so one instruction multiplies both.
//
// Shared memory has a pixel's channels in chunks of 16 bytes: chunk i is at i ^ swizzle(pixel), so that the 8 lanes
// that load together, of 2 pixels and 4 adjacent chunks, or of 4 pixels and 2 chunks, use all banks.
#pragma once
#include "kernels/cuda/capability.h"
#include "kernels/cuda/pattern.cuh"
#include "kernels/memory.h"

namespace mpanet::PRECISION::KERNEL_NS {

constexpr int kUnit = 64, kTensorWarps = 8, kMostUnits = 4;
using TensorMemory = PatternMemory<kTensorWarps>;

__device__ inline int lane_group() { return static_cast<int>(threadIdx.x) % kWarp / 4; }
__device__ inline int lane_in_group() { return static_cast<int>(threadIdx.x) % 4; }
__device__ inline int swizzle(int pixel) { return (pixel & 1) << 2 | (pixel & 2); }

// Calls body(u, unit) for the warp's units.
template <int kUnits, class Body>
__device__ inline void each_unit(int c, const Body& body) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp, warps = static_cast<int>(blockDim.x) / kWarp;
  UNROLL
  for (int u = 0; u < kUnits; u++)
    if (const int unit = warp + u * warps; unit * kUnit < c) body(u, unit);
}

// Begins the copies of a group. The pixels from `count` on are zero.
__device__ inline void copy_chunks(unsigned char* stage, const storage* from, int count, int c) {
  constexpr int N = kFull<storage>;
  const int chunks = c / N;
  for (int pixel = 0; pixel < kMaxPixels; pixel++)
    for (int chunk = static_cast<int>(threadIdx.x); chunk < chunks; chunk += static_cast<int>(blockDim.x))
      cp_async_16_if(pixel < count, stage + (pixel * chunks + (chunk ^ swizzle(pixel))) * 16,
                     from + int64_t{pixel} * c + chunk * N);
}

__device__ inline void load_chunk(const unsigned char* stage, int c, int pixel, int chunk, real (&to)[8]) {
  load_lanes(reinterpret_cast<const storage*>(stage) + pixel * c + (chunk ^ swizzle(pixel)) * 8, to);
}

// Eight floats of row j of `from` (rows, c), which may be null; of rows that do not exist zero.
__device__ inline void load_floats(const real* from, int j, int rows, int c, int channel, real (&to)[8]) {
  Pack<real, 4> pack[2] = {};
  if (from != nullptr && j < rows) {
    pack[0] = load_pack<4>(from + int64_t{j} * c + channel);
    pack[1] = load_pack<4>(from + int64_t{j} * c + channel + 4);
  }
  UNROLL
  for (int i = 0; i < 8; i++) to[i] = pack[i / 4].lane[i % 4];
}

struct Parts {
  uint32_t high, low;
};
__device__ inline Parts parts_of(real number) {
  const float value = static_cast<float>(number);
  const uint32_t high = to_tf32(value);
  return {high, to_tf32(value - std::bit_cast<float>(high))};
}
__device__ inline uint32_t bits_of(real value) { return std::bit_cast<uint32_t>(static_cast<float>(value)); }

// Both parts of a fragment of B.
struct Coefficients {
  uint32_t high[2], low[2];
  __device__ Coefficients(real first, real second) {
    const Parts a = parts_of(first), b = parts_of(second);
    high[0] = a.high, high[1] = b.high, low[0] = a.low, low[1] = b.low;
  }
};

// Writes the warp's dots of all pixels with the rows of `from` (p, c), which may be null: zero.
template <int kUnits>
__device__ inline void tensor_dots(TensorMemory& memory, const unsigned char* stage, const real* from, int c, int p) {
  const int g = lane_group(), t = lane_in_group();
  float d[4][4] = {};
  each_unit<kUnits>(c, [&](int, int unit) {
    UNROLL
    for (int half = 0; half < 2; half++) {
      real x[8], row[8];
      load_chunk(stage, c, g, unit * 8 + half * 4 + t, x);
      load_floats(from, g, p, c, unit * kUnit + half * 32 + t * 8, row);
      UNROLL
      for (int q = 0; q < 4; q++) {
        const Parts even = parts_of(row[2 * q]), odd = parts_of(row[2 * q + 1]);
        mma_tf32_k8(d[q], {even.high, even.low, odd.high, odd.low}, {bits_of(x[2 * q]), bits_of(x[2 * q + 1])});
      }
    }
  });
  real dot[2] = {};
  UNROLL
  for (int q = 0; q < 4; q++) {
    dot[0] += d[q][0] + d[q][2];
    dot[1] += d[q][1] + d[q][3];
  }
  // Four adjacent rows of a table use all banks, and rows 4 apart the same ones. So the lanes of pixels 4 to 7 write
  // their odd row first.
  MapTable& table = memory.dots[threadIdx.x / kWarp];
  const bool odd_first = t >= 2;
  table[2 * t + (odd_first ? 1 : 0)][g] = odd_first ? dot[1] : dot[0];
  table[2 * t + (odd_first ? 0 : 1)][g] = odd_first ? dot[0] : dot[1];
}

// A warp's sums over pixels: [unit][q], fragments (channel, map).
template <int kUnits>
struct UnitSums {
  float at[kUnits][4][4] = {};
};

__device__ inline Coefficients coefficients_of_maps(const MapTable& table) {
  return {table[lane_in_group()][lane_group()], table[lane_in_group() + 4][lane_group()]};
}

// Adds the group's sums over pixels for one unit.
__device__ inline void add_pixels(float (&sum)[4][4], const unsigned char* stage, int c, int unit,
                                  const Coefficients& b) {
  const int g = lane_group(), t = lane_in_group();
  real lower[8], upper[8];
  load_chunk(stage, c, t, unit * 8 + g, lower);
  load_chunk(stage, c, t + 4, unit * 8 + g, upper);
  UNROLL
  for (int q = 0; q < 4; q++) {
    const uint32_t a[4] = {bits_of(lower[2 * q]), bits_of(lower[2 * q + 1]), bits_of(upper[2 * q]),
                           bits_of(upper[2 * q + 1])};
    mma_tf32_k8(sum[q], a, b.high);
    mma_tf32_k8(sum[q], a, b.low);
  }
}

// Writes the sums, times `scale`, to `to` (rows, c).
template <int kUnits>
__device__ inline void write_sums(const UnitSums<kUnits>& sums, real scale, int rows, int c, real* to) {
  const int g = lane_group(), t = lane_in_group();
  each_unit<kUnits>(c, [&](int u, int unit) {
    UNROLL
    for (int e = 0; e < 2; e++) {
      const int j = 2 * t + e;
      if (j >= rows) continue;
      UNROLL
      for (int half = 0; half < 2; half++) {
        const auto& even = sums.at[u][2 * half];
        const auto& odd = sums.at[u][2 * half + 1];
        store_pack(to + int64_t{j} * c + unit * kUnit + g * 8 + half * 4,
                   Pack<real, 4>{even[e] * scale, even[2 + e] * scale, odd[e] * scale, odd[2 + e] * scale});
      }
    }
  });
}

// d += A B, both split into parts; the product of the low parts is left out. A: eight channels of rows t and t + 4.
__device__ inline void add_rows(float (&d)[4][4], const real (&lower)[8], const real (&upper)[8],
                                const Coefficients& b) {
  UNROLL
  for (int q = 0; q < 4; q++) {
    const Parts a[4] = {parts_of(lower[2 * q]), parts_of(lower[2 * q + 1]), parts_of(upper[2 * q]),
                        parts_of(upper[2 * q + 1])};
    const uint32_t high[4] = {a[0].high, a[1].high, a[2].high, a[3].high};
    mma_tf32_k8(d[q], high, b.high);
    mma_tf32_k8(d[q], {a[0].low, a[1].low, a[2].low, a[3].low}, b.high);
    mma_tf32_k8(d[q], high, b.low);
  }
}

// Pixels 0 to 3 use all banks, and 4 to 7 the same ones: their lanes load the upper half of a row first.
__device__ inline Coefficients coefficients_of_pixels(const MapTable& table) {
  const int g = lane_group(), t = lane_in_group(), upper = g & 4;
  const real first = table[g][t + upper], second = table[g][t + 4 - upper];
  return upper != 0 ? Coefficients(second, first) : Coefficients(first, second);
}

// ---- Launches. -----------------------------------------------------------------------------------------------------

template <class... T>
bool on_tensor_cores(Stream stream, int c, int p, const T*... start) {
  return sizeof(storage) == 2 && c % kUnit == 0 && c <= kTensorWarps * kMostUnits * kUnit && p < kMaxParts &&
         packs_fit(c, start...) && ::mpanet::KERNEL_NS::can_use_tf32(stream);
}

struct TensorLaunch {
  unsigned threads;
  bool one_unit;  // of a warp
  Groups groups;
  size_t shared_bytes;
};

inline TensorLaunch tensor_launch(Stream stream, int hw, int c) {
  const int units = c / kUnit, warps = min(units, kTensorWarps);
  const int stage_bytes = kMaxPixels * c * static_cast<int>(sizeof(storage));
  const auto bytes = [&](int stages) { return sizeof(TensorMemory) + static_cast<size_t>(stages * stage_bytes); };
  const int stages = bytes(kMaxStages) <= ::mpanet::KERNEL_NS::shared_bytes_of_block(stream) ? kMaxStages : 2;
  return {static_cast<unsigned>(warps * kWarp), units <= warps, {hw, kMaxPixels, stages, stage_bytes}, bytes(stages)};
}

}  // namespace mpanet::PRECISION::KERNEL_NS
