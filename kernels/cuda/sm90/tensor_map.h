// Tensor maps: descriptions of tensors in device memory for bulk copies (TMA). Host code.
#pragma once
#include <cuda.h>

#include <array>
#include <compare>
#include <cstdint>

#include "kernels/types.h"

namespace mpanet::cuda {

// A tensor of 16-bit elements and the box that a copy moves. In shared memory a box's rows are 128 bytes, and
// chunk c of row r is at c ^ r % 8 (the 128-byte swizzle). Dimensions: the contiguous one first, unused ones 0.
struct TensorBox {
  const void* start = nullptr;  // aligned to 16
  bool bfloat = false;          // bf16, else f16
  std::array<uint64_t, 4> size{};
  std::array<uint32_t, 4> box{};
  std::array<uint64_t, 3> pitch{};  // elements between neighbours in the second and later dimensions; 0: dense
  auto operator<=>(const TensorBox&) const = default;
};

// Pictures (c, w, h, n), and the box of `pixels` pixels of 64 channels under one tap of a filter. The positions under
// tap (0, 0) are first + i * step for i < count, in each of x and y; pixels outside are zero.
struct PixelBox {
  const void* start = nullptr;
  bool bfloat = false;
  std::array<uint64_t, 4> size{};
  std::array<int, 2> first{}, count{};  // of x, y
  int step = 1;
  uint32_t pixels = 0;
  auto operator<=>(const PixelBox&) const = default;
};
// Whether a PixelBox with these positions, of a picture with sides `size`, and filters of `taps` can be described.
bool can_describe(std::array<int, 2> size, std::array<int, 2> first, std::array<int, 2> count, int step,
                  std::array<int, 2> taps);

// Maps are kept with the stream: a later call with the same description costs a look-up.
const CUtensorMap& tensor_map(Stream stream, const TensorBox& box);
const CUtensorMap& tensor_map(Stream stream, const PixelBox& box);

// Whether the stream's device has sm_90a's instructions (compute capability 9.0); its multiprocessors.
bool has_sm90a(Stream stream);
int multiprocessors(Stream stream);

}  // namespace mpanet::cuda
