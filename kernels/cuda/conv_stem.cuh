// The stem: convolution of pictures of 3 channels of 16 bits under 7x7 filters, stride 2, padding 3, with mma.sync.
// Forward and the gradient of the weights; the pictures have no gradient. Formulas: conv.cu.
//
// A block has the rows of the pictures that 128 adjacent output pixels need in shared memory, for all taps. Under one
// row of the filter, output x needs the 21 elements from 6 x - 9 on. Pairs of elements are words: the 11 words from 3 x
// + kFirstWord on, where the first element of the first word is left of the filter. No channel is padded. The rows
// above, below, left and right of a picture are zeros.
//
// Forward: A is (pixels, depth), a register of a fragment is a word of these, which a lane loads. Neighbouring pixels
// are 3 words apart, and a group of four lanes reads 4 adjacent words: 25 different banks. The depth is 12 words a row
// of the filter, three chunks of 8 elements of mma: 168 elements, of which 147 are taps. What is not a tap is set to
// zero in registers, because zero weights would turn an infinite neighbour into NaN. B is (depth, outputs): the weights
// in shared memory, with zeros where the depth has no tap.
//
// Weights: A is (outputs, pixels), dy in tensor_tile.cuh's form along the width. B is (pixels, columns): a lane
// combines the words of two adjacent pixels to registers of two columns, the lower and the upper elements. Columns are
// the 77 words of all rows of the filter, and 3 words that are not stored: 160 elements. Their order (StemWord) and the
// pitch of rows leave no bank conflict where all pixels of a load are of one row.
//
// Blocks: forward, 4 warps of 32 pixels x 64 outputs, several tiles one after another with the same weights; the sums
// pass through the memory of the rows. Weights, 5 warps of 64 outputs x 32 columns, one block per split of the pixels,
// whose rows and dy are copied one tile ahead where shared memory has room.
//
// Bytes: x, w, dy are read once (neighbouring tiles of the picture share rows, which hit the L2 cache), y is written
// once; each split writes its sums.
#pragma once
#include "kernels/cuda/conv_stem.h"

namespace mpanet::PRECISION::KERNEL_NS {

constexpr int kChannels = 3, kFilter = 7, kStride = 2, kPad = 3, kMostFilters = 64;
constexpr int kTaps = kFilter * kChannels, kWeights = kFilter * kTaps;  // of a row of the filter, of a filter
constexpr int kPixels = kStemStep;                                      // of a tile
constexpr int kRowWords = (kTaps + 2) / 2;                              // words of a row of the filter
constexpr int kLead = 16;  // elements before the picture's in a row: 32 bytes
constexpr int kFirstWord = (kLead - kPad * kChannels - 1) / 2;

// ---- Rows of pictures in shared memory. ----------------------------------------------------------------------------

// All pictures of a batch as one list of padded rows, of which an image has those that its outputs need. Output row g
// of all images begins at padded row 5 image + 2 g.
struct StemRows {
  const storage* pictures;
  int h, w, pixels;                         // pixels: of the output
  FastDivide by_width, by_height, by_rows;  // of the output; padded rows of an image
  int pitch;                                // words of a row in shared memory
  bool packed;                              // a picture's rows are pieces of 16 bytes

  __device__ int first_row(int output_row) const {
    return (kFilter - kStride) * by_height.quotient(output_row) + kStride * output_row;
  }

  // Begins to copy what the pixels from `first` to `end`, at most a tile, need: the rows, and each pixel's first word
  // in them. Pixels behind the end have that of the last one.
  template <int kThreads>
  __device__ void copy(uint32_t* rows, int* words, int first, int end) const {
    const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp;
    const int last = min(first + kPixels, end) - 1;
    const int top = first_row(by_width.quotient(first));
    const int count = first_row(by_width.quotient(last)) + kFilter - top;
    ONE_BY_ONE
    for (int r = thread / kWarp; r < count; r += kThreads / kWarp) copy_row(rows + r * pitch, top + r, lane);
    for (int p = thread; p < kPixels; p += kThreads) {
      const int at = min(first + p, last), row = by_width.quotient(at), x = by_width.remainder(at, row);
      words[p] = (first_row(row) - top) * pitch + kStride * kChannels / 2 * x + kFirstWord;
    }
  }

 private:
  __device__ void copy_row(uint32_t* row, int padded, int lane) const {
    const int image = by_rows.quotient(padded), y = by_rows.remainder(padded, image) - kPad, width = w * kChannels;
    const bool inside = y >= 0 && y < h;
    const storage* from = pictures + (inside ? (int64_t{image} * h + y) * width : 0);
    storage* const to = reinterpret_cast<storage*>(row) + kLead;
    if (lane < kLead / 2) row[lane] = 0;
    for (int i = width + lane; i < 2 * pitch - kLead; i += kWarp) to[i] = {};
    if (packed) {
      ONE_BY_ONE
      for (int i = lane * kFull<storage>; i < width; i += kWarp * kFull<storage>)
        cp_async_16_if(inside, to + i, from + i);
    } else {
      for (int i = lane; i < width; i += kWarp) to[i] = inside ? from[i] : storage{};
    }
  }
};

// ---- Forward. ------------------------------------------------------------------------------------------------------

// As TensorShape, with 4 x 1 warps.
struct StemShape {
  static constexpr int kM = kPixels, kN = kMostFilters, kThreads = 4 * kWarp;
  static constexpr int kWarpM = kM / 4;
  static constexpr int kRowBlocks = kWarpM / 16, kColumnBlocks = kN / 8;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
  static constexpr int kBlocks = 1;  // 64 KiB of shared memory have no room for more
#else
  static constexpr int kBlocks = 3;
#endif
  __device__ static int warp_row() { return static_cast<int>(threadIdx.x) / kWarp * kWarpM; }
  __device__ static int warp_column() { return 0; }
};

constexpr int kChunkElements = 8;  // of the depth
constexpr int kRowChunks = (2 * kRowWords + kChunkElements - 1) / kChunkElements;
constexpr int kChunks = kFilter * kRowChunks, kDepthElements = kChunks * kChunkElements;

// Only the sums: the rows have the same memory.
template <>
struct alignas(128) TensorMemory<StemShape> {
  float sums[StemShape::kM * StemShape::kN];
};

struct alignas(128) StemForwardMemory {
  storage weights[kMostFilters * kDepthElements];
  int words[kPixels];
  TensorMemory<StemShape> tile;  // or the rows, which may be larger

  __device__ uint32_t* rows() { return reinterpret_cast<uint32_t*>(&tile); }
};
// A row of a filter is an element that is no tap, the taps, and two that are none.
__device__ inline void copy_weights(storage* to, const storage* w, int k) {
  constexpr int kElements = kRowChunks * kChunkElements, kWarps = StemShape::kThreads / kWarp;
  static_assert(kElements <= kWarp);
  const int thread = static_cast<int>(threadIdx.x), at = thread % kWarp;
  if (at >= kElements) return;
  ONE_BY_ONE
  for (int filter = thread / kWarp; filter < kMostFilters; filter += kWarps) {
    const bool tap = filter < k && at >= 1 && at <= kTaps;
    UNROLL
    for (int row = 0; row < kFilter; row++)
      to[filter * kDepthElements + row * kElements + at] =
          tap ? w[filter * kWeights + row * kTaps + at - 1] : storage{};
  }
}

template <class Element>
__device__ inline void mma_k8(float (&d)[4], const uint32_t (&a)[2], const uint32_t (&b)[1]) {
  if constexpr (std::is_same_v<Element, bfloat16>)
    mma_bf16_k8(d, a, b);
  else
    mma_f16_k8(d, a, b);
}

// The sums of a warp's pixels.
template <class Shape>
__device__ void multiply_rows(StemForwardMemory& memory, int pitch, TensorSums<Shape>& sums) {
  constexpr int kM = Shape::kRowBlocks, kN = Shape::kColumnBlocks;
  const int lane = static_cast<int>(threadIdx.x) % kWarp, group = lane / 4, part = lane % 4;
  const uint32_t first_mask = part == 0 ? 0xffff0000u : ~0u, last_mask = part == 3 ? 0u : ~0u;
  const uint32_t* pixel[kM][2];
  UNROLL
  for (int i = 0; i < kM; i++) {
    UNROLL
    for (int half = 0; half < 2; half++)
      pixel[i][half] = memory.rows() + memory.words[Shape::warp_row() + 16 * i + 8 * half + group] + part;
  }
  const auto load = [&](int i, int half, int chunk) {
    const int row = chunk / kRowChunks, at = chunk % kRowChunks;
    const uint32_t word = pixel[i][half][row * pitch + at * 4];
    return at == 0 ? word & first_mask : at == kRowChunks - 1 ? word & last_mask : word;
  };
  const storage* weights = memory.weights + (lane % 8 + lane / 16 * 8) * kDepthElements + lane / 8 % 2 * kChunkElements;
  const auto multiply_two = [&](int chunk) {
    uint32_t a[kM][4], b[kN / 2][4];
    UNROLL
    for (int j = 0; j < kN / 2; j++) ldmatrix(b[j], weights + j * 16 * kDepthElements + chunk * kChunkElements);
    UNROLL
    for (int i = 0; i < kM; i++) {
      UNROLL
      for (int r = 0; r < 4; r++) a[i][r] = load(i, r % 2, chunk + r / 2);
    }
    mma_fragments<storage>(sums.at, a, b);
  };
  // Two rows of the filter are whole steps. The last row is a step and a half.
  static_assert(kFilter == 7 && kRowChunks == 3 && kN % 4 == 0);
  ONE_BY_ONE
  for (int row = 0; row + 1 < kFilter; row += 2) {
    UNROLL
    for (int chunk = 0; chunk < 2 * kRowChunks; chunk += 2) multiply_two(chunk);
    weights += 2 * kRowChunks * kChunkElements;
    UNROLL
    for (int i = 0; i < kM; i++) pixel[i][0] += 2 * pitch, pixel[i][1] += 2 * pitch;
  }
  multiply_two(0);
  UNROLL
  for (int j = 0; j < kN; j += 4) {
    uint32_t b[4];
    ldmatrix(b, memory.weights + (j * 8 + lane) * kDepthElements + (kChunks - 1) * kChunkElements);
    UNROLL
    for (int i = 0; i < kM; i++) {
      UNROLL
      for (int f = 0; f < 4; f++) mma_k8<storage>(sums.at[i][j + f], {load(i, 0, 2), load(i, 1, 2)}, {b[f]});
    }
  }
}

template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads, Shape::kBlocks)
    conv_forward_stem_kernel(StemRows x, const storage* w, int tiles, Output<storage> y, real* moments) {
  auto& memory = shared_memory<StemForwardMemory>();
  const int k = y.columns;
  copy_weights(memory.weights, w, k);
  const auto row_offset = [&](int r) { return int64_t{r} * k; };
  const int first = static_cast<int>(blockIdx.x) * tiles;
  ONE_BY_ONE
  for (int tile = first; tile < first + tiles && tile * kPixels < x.pixels; tile++) {
    x.copy<Shape::kThreads>(memory.rows(), memory.words, tile * kPixels, x.pixels);
    cp_async_wait_all();
    __syncthreads();
    TensorSums<Shape> sums;
    multiply_rows(memory, x.pitch, sums);
    __syncthreads();
    const auto emit = [&](const auto& tile_sums) {
      emit_tile<kFull<storage>>(memory.tile, sums, y, x.pixels, tile * kPixels, 0, 0, row_offset, Columns{k},
                                tile_sums);
    };
    if (moments == nullptr)
      emit(NoTileSums{});
    else
      emit(TileMoments{moments + int64_t{tile} * 2 * k, k});
    __syncthreads();
  }
}

// ---- The gradient of the weights. ----------------------------------------------------------------------------------

struct StemWeightsShape {
  static constexpr int kWarps = 5, kThreads = kWarps * kWarp, kGroups = 2;  // groups of 8 words of a warp
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
  static constexpr int kBlocks = 1;
#else
  static constexpr int kBlocks = 3;
#endif
};
static_assert(StemWeightsShape::kWarps * StemWeightsShape::kGroups * 8 >= kFilter * kRowWords);

// The word of a column. A load has 8 adjacent columns for each of 4 pixels, which are 6 words apart. Adjacent columns
// are every second word of all rows of the filter. Rows have an odd number of words, so those of adjacent rows are
// alternately even and odd and in different banks, as the pitch of rows in shared memory is a multiple of kPitchWords.
// Where a load has words of three rows, those of the first and the third are in different banks too.
constexpr int kPitchWords = 16;
struct StemWord {
  int row, at;
  bool exists;

  __device__ explicit StemWord(int column) {
    constexpr int kWords = kFilter * kRowWords;
    static_assert(kRowWords % 2 == 1);
    const int word = 2 * column % kWords;
    row = word / kRowWords, at = word % kRowWords, exists = column < kWords;
  }
};

// Then the rows. Row p of dy has chunk c at c ^ p % 8.
struct alignas(128) StemStage {
  unsigned char dy[kPixels * kMostFilters * sizeof(storage)];
  int words[kPixels];

  __device__ uint32_t* rows() { return reinterpret_cast<uint32_t*>(this + 1); }
};
// After the last step.
struct alignas(128) StemWeightSums {
  real at[kMostFilters * kWeights];
};
constexpr int kPitch = kMostFilters * static_cast<int>(sizeof(storage));

template <class Shape>
__device__ void copy_gradients(unsigned char* to, const storage* dy, int first, int end, int k) {
  constexpr int kPieces = kPitch / kChunk;
  ONE_BY_ONE
  for (int i = static_cast<int>(threadIdx.x); i < kPixels * kPieces; i += Shape::kThreads) {
    const int p = i / kPieces, c = i % kPieces, column = c * kFull<storage>;
    const bool inside = first + p < end && column < k;
    cp_async_16_if(inside, to + p * kPitch + (c ^ p % 8) * kChunk, dy + (inside ? int64_t{first + p} * k + column : 0));
  }
}

// Adds a tile. columns: a lane's word of a pixel, in each group.
template <class Shape, int kM>
__device__ void multiply_gradients(StemStage& stage, const int (&columns)[Shape::kGroups],
                                   float (&sums)[kM][2 * Shape::kGroups][4]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp, row = lane % 8, low = lane / 8 % 2, high = lane / 16;
  const unsigned char* const dy = stage.dy + (high * 8 + row) * kPitch;
  const int* const words = stage.words + lane % 4 * 2;
  const uint32_t* const rows = stage.rows();
  ONE_BY_ONE
  for (int p = 0; p < kPixels; p += 16) {
    uint32_t a[kM][4], b[Shape::kGroups][4];
    UNROLL
    for (int i = 0; i < kM; i++) ldmatrix_trans(a[i], dy + p * kPitch + ((2 * i + low) ^ row) * kChunk);
    UNROLL
    for (int half = 0; half < 2; half++) {
      const Pack<int, 2> at = load_pack<2>(words + p + 8 * half);
      UNROLL
      for (int j = 0; j < Shape::kGroups; j++) {
        const uint32_t one = rows[at.lane[0] + columns[j]], two = rows[at.lane[1] + columns[j]];
        b[j][half] = (one & 0xffffu) | two << 16;
        b[j][2 + half] = one >> 16 | (two & 0xffff0000u);
      }
    }
    mma_fragments<storage>(sums, a, b);
  }
}

template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads, Shape::kBlocks)
    conv_backward_weights_stem_kernel(StemRows x, const storage* dy, int k, int chunk, int stage_bytes, int stages,
                                      Output<real> dw) {
  constexpr int kM = kMostFilters / 16;
  auto& sums_memory = shared_memory<StemWeightSums>();
  unsigned char* const memory = reinterpret_cast<unsigned char*>(&sums_memory);
  const auto stage = [&](int tile) -> StemStage& {
    return *reinterpret_cast<StemStage*>(memory + tile % stages * stage_bytes);
  };
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp,
            first_word = thread / kWarp * 8 * Shape::kGroups;
  const int split = static_cast<int>(blockIdx.x), begin = split * chunk, end = min(x.pixels, begin + chunk);
  int columns[Shape::kGroups];
  UNROLL
  for (int j = 0; j < Shape::kGroups; j++) {
    const StemWord word(first_word + 8 * j + lane / 4);
    columns[j] = word.row * x.pitch + word.at;
  }
  const auto fetch = [&](int tile) {
    const int first = begin + tile * kPixels;
    copy_gradients<Shape>(stage(tile).dy, dy, first, end, k);
    x.copy<Shape::kThreads>(stage(tile).rows(), stage(tile).words, first, end);
  };
  float sums[kM][2 * Shape::kGroups][4] = {};
  const int tiles = end > begin ? (end - begin - 1) / kPixels + 1 : 0;
  if (stages == 2 && tiles > 0) fetch(0);
  cp_async_commit();
  ONE_BY_ONE
  for (int tile = 0; tile < tiles; tile++) {
    if (tile + stages - 1 < tiles) fetch(tile + stages - 1);
    cp_async_commit();
    if (stages == 2)
      cp_async_wait<1>();
    else
      cp_async_wait<0>();
    __syncthreads();
    multiply_gradients<Shape>(stage(tile), columns, sums);
    __syncthreads();
  }
  // To the order of dw, in shared memory.
  UNROLL
  for (int i = 0; i < kM; i++) {
    UNROLL
    for (int j = 0; j < 2 * Shape::kGroups; j++) {
      UNROLL
      for (int e = 0; e < 4; e++) {
        const int filter = 16 * i + lane / 4 + e / 2 * 8;
        const StemWord word(first_word + j / 2 * 8 + lane % 4 * 2 + e % 2);
        const int tap = word.at * 2 + j % 2 - 1;
        if (word.exists && tap >= 0) sums_memory.at[filter * kWeights + word.row * kTaps + tap] = sums[i][j][e];
      }
    }
  }
  __syncthreads();
  if (dw.partial != nullptr) {
    constexpr int L = kFull<real>;
    for (int i = thread * L; i < k * kWeights; i += Shape::kThreads * L)
      store_pack(dw.partial + split * dw.count + i, load_pack<L>(sums_memory.at + i));
  } else {
    for (int i = thread; i < k * kWeights; i += Shape::kThreads) dw.template finish<1>(0, i, sums_memory.at + i);
  }
}

}  // namespace mpanet::PRECISION::KERNEL_NS
