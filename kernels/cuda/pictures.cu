// The network's input from bytes: flip, pad, crop, normalise, erase, in one pass.
//   y = values[c][code], code: the byte of the (flipped) picture at row + top, column + left; kPaddingCode outside of
//   it; kErasedCode in the erased rectangle
// Values come from a table, so that every backend gives the same bits: there is no arithmetic. The table is in shared
// memory. A block computes a part of one picture, a thread every blockDim-th pack of its rows; a pack does not cross
// rows. Reads each byte that is shown, and the table once per block; writes the output once.
#include "kernels/cuda/numeric.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr int kPictureThreads = 256, kPictureSteps = 8;  // packs that a thread makes, if the picture has as many

struct PictureMemory {
  storage value[3 * kPictureCodes];
};

template <int N>
__global__ void __launch_bounds__(kPictureThreads)
    augment_pictures_kernel(const uint8_t* pixels, const PictureCut* cuts, const storage* values, int h, int w,
                            int blocks, storage* y) {
  auto& shared = shared_memory<PictureMemory>();
  for (int i = static_cast<int>(threadIdx.x); i < 3 * kPictureCodes; i += kPictureThreads) shared.value[i] = values[i];
  __syncthreads();
  const int image = static_cast<int>(blockIdx.x) / blocks, part = static_cast<int>(blockIdx.x) % blocks;
  const PictureCut cut = cuts[image];
  const int width = 3 * w, packs = width / N;  // of a row
  const uint8_t* const picture = pixels + int64_t{cut.picture} * h * width;
  storage* const to = y + int64_t{image} * h * width;
  for (int p = part * kPictureThreads + static_cast<int>(threadIdx.x); p < h * packs; p += blocks * kPictureThreads) {
    const int row = p / packs, first = (p - row * packs) * N, source = row + cut.top;
    const bool inside = source >= 0 && source < h;
    const bool erased = row >= cut.erase_top && row < cut.erase_top + cut.erase_height;
    const uint8_t* const from = picture + (inside ? source : 0) * width;
    Pack<storage, N> pack;
    UNROLL
    for (int j = 0; j < N; j++) {
      const int x = (first + j) / 3, c = (first + j) % 3, column = x + cut.left;
      int code = kPaddingCode;
      if (inside && column >= 0 && column < w) code = from[3 * (cut.flip != 0 ? w - 1 - column : column) + c];
      if (erased && x >= cut.erase_left && x < cut.erase_left + cut.erase_width) code = kErasedCode;
      pack.lane[j] = shared.value[c * kPictureCodes + code];
    }
    store_pack(to + int64_t{p} * N, pack);
  }
}

template <int N>
void launch_augment(Stream stream, const uint8_t* pixels, const PictureCut* cuts, const storage* values, int n, int h,
                    int w, storage* y) {
  const int64_t blocks = divide_up(int64_t{h} * (3 * w / N), kPictureThreads * kPictureSteps);
  KERNEL_CHECK(n * blocks < int64_t{1} << 31, "at most 2^31 blocks");
  LAUNCH((augment_pictures_kernel<N>), static_cast<unsigned>(n * blocks), kPictureThreads, sizeof(PictureMemory),
         stream, pixels, cuts, values, h, w, static_cast<int>(blocks), y);
}

}  // namespace

void augment_pictures(Stream stream, const uint8_t* pixels, const PictureCut* cuts, const storage* values, int n, int h,
                      int w, storage* y) {
  KERNEL_CHECK(n > 0 && h > 0 && w > 0 && int64_t{3} * h * w < int64_t{1} << 30, "pictures of less than 2^30 values");
  if (packs_fit(int64_t{3} * w, y))
    launch_augment<kFull<storage>>(stream, pixels, cuts, values, n, h, w, y);
  else
    launch_augment<1>(stream, pixels, cuts, values, n, h, w, y);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
