#include "kernels/cuda/sm90/tensor_map.h"

#include <cudaTypedefs.h>

#include <map>

#include "kernels/cuda/stream.h"

namespace mpanet::cuda {
namespace {

// The driver's functions: the program does not link libcuda, so that it starts on machines without a driver.
template <class Function>
Function driver_function(const char* name) {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
  CUDA_CALL(cudaGetDriverEntryPointByVersion(name, &function, 12000, cudaEnableDefault, &found));
  if (found != cudaDriverEntryPointSuccess) fail("the driver has no {}: expected CUDA 12.0 or newer", name);
  return reinterpret_cast<Function>(function);
}

struct Maps {
  PFN_cuTensorMapEncodeTiled_v12000 encode_tiled = nullptr;
  PFN_cuTensorMapEncodeIm2col_v12000 encode_pixels = nullptr;
  std::map<TensorBox, CUtensorMap> boxes;
  std::map<PixelBox, CUtensorMap> pixels;
};

constexpr char kTag = 0;

Maps& maps_of(StreamState& state) {
  Maps& maps = state.get<Maps>(&kTag);
  if (maps.encode_tiled == nullptr) {
    maps.encode_tiled = driver_function<PFN_cuTensorMapEncodeTiled_v12000>("cuTensorMapEncodeTiled");
    maps.encode_pixels = driver_function<PFN_cuTensorMapEncodeIm2col_v12000>("cuTensorMapEncodeIm2col");
  }
  return maps;
}

constexpr CUtensorMapSwizzle kSwizzle = CU_TENSOR_MAP_SWIZZLE_128B;
constexpr CUtensorMapL2promotion kPromotion = CU_TENSOR_MAP_L2_PROMOTION_L2_256B;
constexpr uint32_t kChannels = 64;  // of a row of 128 bytes

CUtensorMapDataType type_of(bool bfloat) {
  return bfloat ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
}

cuuint32_t rank_of(const std::array<uint64_t, 4>& size) {
  cuuint32_t rank = 0;
  while (rank < size.size() && size[rank] != 0) rank++;
  return rank;
}

// Bytes between neighbours in the second and later dimensions.
std::array<cuuint64_t, 3> pitches_of(const std::array<uint64_t, 4>& size, const std::array<uint64_t, 3>& pitch = {}) {
  std::array<cuuint64_t, 3> pitches{};
  cuuint64_t bytes = 2;
  for (size_t i = 0; i < pitches.size(); i++) {
    bytes *= size[i];
    pitches[i] = pitch[i] != 0 ? 2 * pitch[i] : bytes;
  }
  return pitches;
}

// The distance of the last position from the last pixel: positions are enumerated up to size - 1 + corner.
int upper_corner(int size, int first, int count, int step) { return first + (count - 1) * step - (size - 1); }

}  // namespace

bool can_describe(std::array<int, 2> size, std::array<int, 2> first, std::array<int, 2> count, int step,
                  std::array<int, 2> taps) {
  constexpr int kLeast = -128, kMost = 127, kMostTaps = 256, kMostStep = 8;  // limits of maps of rank 4
  const auto fits = [&](int corner) { return corner >= kLeast && corner <= kMost; };
  if (step > kMostStep) return false;
  for (size_t i = 0; i < size.size(); i++)
    if (!fits(first[i]) || !fits(upper_corner(size[i], first[i], count[i], step)) || taps[i] > kMostTaps) return false;
  return true;
}

const CUtensorMap& tensor_map(Stream stream, const TensorBox& box) {
  Maps& maps = maps_of(state_of(stream));
  const auto [entry, added] = maps.boxes.try_emplace(box);
  if (!added) return entry->second;
  const auto pitches = pitches_of(box.size, box.pitch);
  const std::array<cuuint32_t, 4> steps = {1, 1, 1, 1};
  const CUresult result =
      maps.encode_tiled(&entry->second, type_of(box.bfloat), rank_of(box.size), const_cast<void*>(box.start),
                        box.size.data(), pitches.data(), box.box.data(), steps.data(), CU_TENSOR_MAP_INTERLEAVE_NONE,
                        kSwizzle, kPromotion, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  MPANET_CHECK(result == CUDA_SUCCESS, "cuTensorMapEncodeTiled: error {}, size ({}, {}, {}, {}), box ({}, {}, {}, {})",
               static_cast<int>(result), box.size[0], box.size[1], box.size[2], box.size[3], box.box[0], box.box[1],
               box.box[2], box.box[3]);
  return entry->second;
}

const CUtensorMap& tensor_map(Stream stream, const PixelBox& box) {
  Maps& maps = maps_of(state_of(stream));
  const auto [entry, added] = maps.pixels.try_emplace(box);
  if (!added) return entry->second;
  const auto pitches = pitches_of(box.size);
  std::array<int, 2> upper{};
  for (size_t i = 0; i < upper.size(); i++)
    upper[i] = upper_corner(static_cast<int>(box.size[i + 1]), box.first[i], box.count[i], box.step);
  const auto step = static_cast<cuuint32_t>(box.step);
  const std::array<cuuint32_t, 4> steps = {1, step, step, 1};
  const CUresult result = maps.encode_pixels(
      &entry->second, type_of(box.bfloat), rank_of(box.size), const_cast<void*>(box.start), box.size.data(),
      pitches.data(), box.first.data(), upper.data(), kChannels, box.pixels, steps.data(),
      CU_TENSOR_MAP_INTERLEAVE_NONE, kSwizzle, kPromotion, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  MPANET_CHECK(
      result == CUDA_SUCCESS,
      "cuTensorMapEncodeIm2col: error {}, size ({}, {}, {}, {}), corners ({}, {}), ({}, {}), step {}, {} pixels",
      static_cast<int>(result), box.size[0], box.size[1], box.size[2], box.size[3], box.first[0], box.first[1],
      upper[0], upper[1], box.step, box.pixels);
  return entry->second;
}

bool has_sm90a(Stream stream) {
  if (stream == nullptr) return false;
  const StreamState& state = state_of(stream);
  return state.capability_major == 9 && state.capability_minor == 0;
}

int multiprocessors(Stream stream) {
  int count = 0;
  CUDA_CALL(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, state_of(stream).device));
  return count;
}

}  // namespace mpanet::cuda
