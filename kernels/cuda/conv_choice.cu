#include "kernels/cuda/conv_choice.h"
#include "kernels/cuda/conv_stem.h"
#include "kernels/cuda/conv_tensor.cuh"
#include "kernels/cuda/conv_tiles.h"
#include "kernels/cuda/vendor_calls.h"
#include "kernels/cuda/wgmma_calls.h"
#include "kernels/memory.h"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr bool kHalf = sizeof(storage) == 2;

// c, k: channels of a tap.
ProductSize size_of(const ConvShape& s, ConvPass pass, int c, int k) {
  const bool packed = s.c % kFull<storage> == 0 && s.k % kFull<storage> == 0;
  const int64_t outputs = int64_t{s.n} * s.oh() * s.ow(), taps = int64_t{s.kh} * s.kw;
  if (pass == ConvPass::Forward) return {outputs, s.k, taps * c, 1, packed};
  if (pass == ConvPass::BackwardWeights) return {s.k, taps * c, outputs, 1, packed};
  const int64_t inputs = s.n * divide_up(s.h, s.stride) * divide_up(s.w, s.stride);
  const int64_t most_taps = divide_up(s.kh, s.stride) * divide_up(s.kw, s.stride);
  return {inputs, s.c, most_taps * k, s.stride * s.stride, packed};
}

// The tiles of conv.cu's kernels.
TileChoices own_tiles(Stream stream) { return on_tensor_cores(stream) ? tensor_tiles<storage>() : ordinary_tiles(); }

}  // namespace

bool on_tensor_cores(Stream stream) { return kHalf || (kTf32Convolutions && ::mpanet::KERNEL_NS::uses_tf32(stream)); }

int tap_width(int c) { return kHalf ? tap_channels(c) : c; }

ProductSize conv_product(const ConvShape& s, ConvPass pass) { return size_of(s, pass, tap_width(s.c), tap_width(s.k)); }

ProductPlan conv_plan(Stream stream, const ConvShape& s, ConvPass pass) {
  const ForcedPlan& forced = forced_plan();
  const bool wgmma = forced.loop != ConvLoop::MmaSync && wgmma_takes(stream, s, pass, forced.loop == ConvLoop::Wgmma);
  KERNEL_CHECK(wgmma || forced.loop != ConvLoop::Wgmma, "a shape and a device for wgmma");
  ConvShape planned = s;
  if (forced.batch > 0) planned.n = forced.batch;
  if (stem_takes(s, pass)) {
    const ProductPlan plan = stem_plan(planned, pass, forced);
    return forced.batch > 0 && plan.splits > 1 ? plan.of_depth(int64_t{s.n} * s.oh() * s.ow(), kStemStep) : plan;
  }
  const TileChoices tiles = wgmma ? wgmma_tiles(pass) : own_tiles(stream);
  const auto size = [&](const ConvShape& shape) {
    if (!wgmma) return conv_product(shape, pass);
    const auto whole = [&](int c) { return static_cast<int>(divide_up(c, tiles.step)) * tiles.step; };
    return size_of(shape, pass, whole(s.c), whole(s.k));
  };
  ProductPlan plan = plan_product(size(planned), tiles, forced);
  if (forced.batch > 0) plan = plan.of_depth(size(s).depth, tiles.step);
  plan.wgmma = wgmma, plan.blocks = forced.blocks;
  return plan;
}

std::vector<ForcedPlan> conv_tiles(Stream stream, const ConvShape& s, ConvPass pass) {
  std::vector<ForcedPlan> plans;
  const auto add = [&](const TileChoices& choices, ConvLoop loop) {
    for (const TileChoice& tile : choices.tiles)
      plans.push_back({.tile_m = tile.m, .tile_n = tile.n, .splits = 0, .loop = loop});
  };
  if (!conv_product(s, pass).packed) return {};
  if (wgmma_takes(stream, s, pass, true)) add(wgmma_tiles(pass), ConvLoop::Wgmma);
  add(own_tiles(stream), ConvLoop::MmaSync);
  return plans;
}

size_t conv_weights_bytes(Stream, const ConvShape&, ConvPass) { return 0; }
void conv_prepare_weights(Stream, const ConvShape&, ConvPass, const storage*, const real*, void*) {}

EpilogueSums conv_epilogue_sums(Stream stream, const ConvShape& s, ConvPass pass) {
  const ProductPlan plan = conv_plan(stream, s, pass);
  if (!forced_plan().sums || plan.splits > 1 || !vendor::conv_is_native(stream, s, pass)) return {};
  const ProductSize size = conv_product(s, pass);
  if (!plan.wgmma) return {true, static_cast<int>(divide_up(size.m, plan.tile_m)) * size.classes, plan.tile_m};
  const int64_t rows = pass == ConvPass::Forward ? size.m : divide_up(size.m, plan.tile_m) * plan.tile_m;
  return {true, static_cast<int>(divide_up(rows, kWgmmaSumRows)) * size.classes, kWgmmaSumRows};
}

size_t conv_workspace_bytes(Stream stream, const ConvShape& s, ConvPass pass) {
  const int64_t count = pass == ConvPass::Forward        ? s.output_count()
                        : pass == ConvPass::BackwardData ? s.input_count()
                                                         : s.weight_count();
  const size_t native = conv_plan(stream, s, pass).workspace_bytes(count);
  return vendor::conv_workspace_bytes(stream, s, pass, native);
}

int conv_weight_splits(Stream stream, const ConvShape& s) {
  if (!vendor::conv_is_native(stream, s, ConvPass::BackwardWeights)) return 0;
  const ProductPlan plan = conv_plan(stream, s, ConvPass::BackwardWeights);
  return plan.splits > 1 ? plan.splits : 0;
}

}  // namespace mpanet::PRECISION::KERNEL_NS
