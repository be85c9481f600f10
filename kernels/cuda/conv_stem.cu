// Launchers of the stem's convolutions.
#include "kernels/cuda/conv_stem.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr int kMostShared = 64 << 10;  // what a block of the oldest devices can have

// The pitch of rows: words up to those of the last output's last chunk. Pieces of 16 bytes fit.
int row_words(const ConvShape& s) {
  const int words = kFirstWord + kStride * kChannels / 2 * (s.ow() - 1) + kRowWords + 1;
  return static_cast<int>(divide_up(words, kPitchWords)) * kPitchWords;
}
// The most padded rows that a tile needs.
int most_rows(const ConvShape& s) {
  const int outputs = kPixels % s.ow() == 0 ? kPixels / s.ow() : s.ow() % kPixels == 0 ? 1 : (kPixels - 2) / s.ow() + 2;
  const bool whole = outputs == 1 || int64_t{s.oh()} * s.ow() % kPixels == 0;  // no tile has pixels of two images
  const int images = whole ? 0 : (outputs - 2) / s.oh() + 1;
  return kStride * (outputs - 1) + kFilter + images * (kFilter - kStride);
}
int64_t rows_bytes(const ConvShape& s) { return int64_t{most_rows(s)} * row_words(s) * int64_t{sizeof(uint32_t)}; }

StemRows stem_rows(const ConvShape& s, const storage* x) {
  return {.pictures = x,
          .h = s.h,
          .w = s.w,
          .pixels = s.n * s.oh() * s.ow(),
          .by_width = FastDivide(s.ow()),
          .by_height = FastDivide(s.oh()),
          .by_rows = FastDivide(kStride * s.oh() + kFilter - kStride),
          .pitch = row_words(s),
          .packed = packs_fit(int64_t{s.w} * kChannels, x)};
}

constexpr int64_t forward_bytes(int64_t rows) {
  constexpr int64_t kSums = sizeof(TensorMemory<StemShape>);
  return int64_t{sizeof(StemForwardMemory)} + (rows > kSums ? rows - kSums : 0);
}

int64_t stage_bytes(const ConvShape& s) { return int64_t{sizeof(StemStage)} + divide_up(rows_bytes(s), 128) * 128; }
int stages(const ConvShape& s) { return 2 * stage_bytes(s) <= kMostShared ? 2 : 1; }

// A template, because other types must not instantiate the kernels.
template <class T>
constexpr bool kHasStem = sizeof(T) == 2;

template <class T = storage>
void launch_forward(Stream stream, const StemRows& x, const storage* w, int tiles, real* moments,
                    const Output<storage>& y, int64_t bytes) {
  if constexpr (kHasStem<T>) {
    const int64_t blocks = divide_up(divide_up(x.pixels, kPixels), tiles);
    LAUNCH((conv_forward_stem_kernel<StemShape>), static_cast<unsigned>(blocks), StemShape::kThreads,
           static_cast<size_t>(bytes), stream, x, w, tiles, y, moments);
  }
}
template <class T = storage>
void launch_weights(Stream stream, const StemRows& x, const storage* dy, int k, const ProductPlan& plan,
                    int64_t stage_bytes, int stages, const Output<real>& dw) {
  if constexpr (kHasStem<T>) {
    const int64_t bytes = std::max(stages * stage_bytes, int64_t{sizeof(StemWeightSums)});
    LAUNCH((conv_backward_weights_stem_kernel<StemWeightsShape>), static_cast<unsigned>(plan.splits),
           StemWeightsShape::kThreads, static_cast<size_t>(bytes), stream, x, dy, k, plan.chunk,
           static_cast<int>(stage_bytes), stages, dw);
  }
}

}  // namespace

bool stem_takes(const ConvShape& s, ConvPass pass) {
  if (!kHasStem<storage> || pass == ConvPass::BackwardData) return false;
  if (s.c != kChannels || s.kh != kFilter || s.kw != kFilter || s.stride != kStride || s.pad != kPad) return false;
  if (s.k > kMostFilters || s.k % kFull<storage> != 0) return false;
  if (int64_t{s.n} * (kStride * s.oh() + kFilter - kStride) >= int64_t{1} << 31) return false;
  return (pass == ConvPass::Forward ? forward_bytes(rows_bytes(s)) : stage_bytes(s)) <= kMostShared;
}

ProductPlan stem_plan(const ConvShape& s, ConvPass pass, const ForcedPlan& forced) {
  constexpr int kProcessors = 132, kMostTiles = 8, kFewestTiles = 4;  // tiles of a block: forward, weights
  const int64_t pixels = s.output_count() / s.k, tiles = divide_up(pixels, kPixels);
  ProductPlan plan{.tile_m = StemShape::kM, .tile_n = StemShape::kN, .stem = true};
  if (pass == ConvPass::Forward) {
    constexpr int kGeneralDepth = 224;  // conv.cu's: 49 taps of 4 channels, in whole steps
    plan.chunk = kGeneralDepth;
    plan.stem_tiles = static_cast<int>(std::clamp<int64_t>(tiles / (kProcessors * 4), 1, kMostTiles));
  } else {
    const int64_t most = std::min<int64_t>(kProcessors * 3, divide_up(tiles, kFewestTiles));
    const int64_t splits = forced.splits > 0 ? forced.splits : most;
    plan.chunk = static_cast<int>(divide_up(tiles, splits)) * kPixels;
    plan.splits = static_cast<int>(divide_up(pixels, plan.chunk));
  }
  return plan;
}

void stem_forward(Stream stream, const ConvShape& s, const storage* x, const storage* w, const ProductPlan& plan,
                  real* moments, const Output<storage>& y) {
  launch_forward(stream, stem_rows(s, x), w, plan.stem_tiles, moments, y, forward_bytes(rows_bytes(s)));
}

void stem_backward_weights(Stream stream, const ConvShape& s, const storage* x, const storage* dy,
                           const ProductPlan& plan, const Output<real>& dw) {
  launch_weights(stream, stem_rows(s, x), dy, s.k, plan, stage_bytes(s), stages(s), dw);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
