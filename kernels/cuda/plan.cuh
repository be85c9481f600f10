// The choice of a product's tile and splits.
#pragma once
#include <algorithm>
#include <span>

#include "kernels/conv_plan.h"
#include "kernels/cuda/product.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

using Tile128x64 = TileShape<128, 64, 8>;
using Tile64x64 = TileShape<64, 64, 8, sizeof(real) == 8 ? 4 : 8>;  // 64 sums in f64 would spill
using Tile32x32 = TileShape<32, 32, 4>;
// Without packs a thread fetches single elements and holds an address for each, so fewer registers are left for
// sums.
using ScalarTile64x64 = TileShape<64, 64, 8, 4>;

// Whether rows of `width` elements that begin at these addresses can be accessed in packs of 16 bytes.
template <class... T>
bool full_packs_fit(int64_t width, const T*... start) {
  return ((width % kFull<T> == 0 && reinterpret_cast<uintptr_t>(start) % 16 == 0) && ...);
}

// One block per tile and z. Adjacent blocks have the same rows, so that these are read from memory once.
template <class Shape>
dim3 product_grid(int64_t m, int64_t n, int64_t z) {
  const int64_t tiles = divide_up(m, Shape::kM) * divide_up(n, Shape::kN);
  KERNEL_CHECK(tiles < (int64_t{1} << 31) && z < (1 << 16), "at most 2^31 tiles");
  return dim3(static_cast<unsigned>(tiles), 1, static_cast<unsigned>(z));
}

struct ProductPlan {
  int tile_m = 0, tile_n = 0;
  int splits = 1;
  int chunk = 0;       // depth of a split, a multiple of a step's
  bool wgmma = false;  // by the loop of wgmma_calls.h
  int blocks = 0;      // of that loop; 0: one on each multiprocessor
  bool stem = false;   // by the kernels of conv_stem.h
  int stem_tiles = 1;  // of a block, forward

  // The same tile and number of splits for another depth. The last splits may be empty: their sums are zero.
  ProductPlan of_depth(int64_t depth, int step) const {
    ProductPlan plan = *this;
    plan.chunk = static_cast<int>(divide_up(divide_up(depth, splits), step) * step);
    return plan;
  }

  size_t workspace_bytes(int64_t count) const {
    return splits > 1 ? static_cast<size_t>(splits) * static_cast<size_t>(count) * sizeof(real) : 0;
  }
};

// `classes` products of this size run in one launch. packed: all rows can be read in packs.
struct ProductSize {
  int64_t m, n, depth;
  int classes;
  bool packed;
};

struct TileChoice {
  int m, n, threads;
  bool packed;      // needs packs
  double products;  // multiply-adds per clock of a multiprocessor full of these tiles, estimated
};
struct TileChoices {
  std::span<const TileChoice> tiles;
  int step;  // depth of a step
};

// The tiles of tile.cuh. Rates are estimated from the instructions of the inner loops.
inline TileChoices ordinary_tiles() {
  constexpr double kPeak = sizeof(real) == 8 ? 64 : 128;
  static constexpr TileChoice kTiles[] = {{128, 64, Tile128x64::kThreads, true, 0.9 * kPeak},
                                          {64, 64, Tile64x64::kThreads, false, 0.8 * kPeak},
                                          {32, 32, Tile32x32::kThreads, false, 0.45 * kPeak}};
  return {kTiles, kDepth};
}

// The tiles of tensor_tile.cuh for factors of this type. Rates are modelled: mma.sync at 0.63 of a 132-processor card's
// 2048 multiply-adds of 16 bits or 1024 of TF32 per clock, reduced to what 128 bytes of shared memory per clock allow.
// A step of the 128 x 128 tile takes 406 clocks of tensor cores and 384 of shared memory (fragments 256, copies 128);
// 128 x 64 takes 203 and 288; 64 x 64, 102 and 192.
template <class Element>
TileChoices tensor_tiles() {
  constexpr double kPeak = 0.63 * 4096 / sizeof(Element);
  static constexpr TileChoice kTiles[] = {{128, 128, 128, true, 0.95 * kPeak},
                                          {128, 64, 128, true, 0.70 * kPeak},
                                          {64, 128, 128, true, 0.70 * kPeak},
                                          {64, 64, 128, false, 0.53 * kPeak}};
  return {kTiles, kStepDepth<Element>};
}

// The plan with the least estimated time on a card of 132 multiprocessors. It is the same for all cards, because the
// plan determines the order of sums. `forced` replaces its choices.
inline ProductPlan plan_product(const ProductSize& size, const TileChoices& choices, const ForcedPlan& forced = {}) {
  constexpr double kProcessors = 132, kFullThreads = 256;        // threads that fill a multiprocessor's pipes
  constexpr double kSecondLaunch = 6000, kBytesPerClock = 2200;  // clocks; bytes of the card's memory per clock
  constexpr int64_t kSmallestChunk = 128, kMostSplits = 512;
  ProductPlan best;
  double best_clocks = 0;
  for (const TileChoice& tile : choices.tiles) {
    if (tile.packed && !size.packed) continue;
    if (forced.tile_m > 0 && size.packed && (tile.m != forced.tile_m || tile.n != forced.tile_n)) continue;
    const int64_t tiles = divide_up(size.m, tile.m) * divide_up(size.n, tile.n);
    const int64_t first = std::max(1, forced.splits), last = forced.splits > 0 ? forced.splits : kMostSplits;
    for (int64_t splits = first; splits <= last; splits += splits < 8 ? 1 : splits / 4) {
      const int64_t chunk = divide_up(divide_up(size.depth, splits), choices.step) * choices.step;
      if (splits > first && chunk < kSmallestChunk) break;
      const double launched = static_cast<double>(tiles * size.classes * splits);
      const double blocks = std::max(1.0, std::ceil(launched / kProcessors));
      const double filled = std::min(1.0, blocks * tile.threads / kFullThreads);
      double clocks = blocks * tile.m * tile.n * static_cast<double>(chunk) / (tile.products * filled);
      if (splits > 1)
        clocks += kSecondLaunch +
                  2.0 * sizeof(real) * static_cast<double>(splits * size.m * size.n * size.classes) / kBytesPerClock;
      if (best.tile_m != 0 && clocks >= best_clocks) continue;
      best_clocks = clocks;
      best = {tile.m, tile.n, static_cast<int>(divide_up(size.depth, chunk)), static_cast<int>(chunk)};
    }
  }
  KERNEL_CHECK(best.tile_m != 0, "a tile that this precision has");
  return best;
}

// Calls body<Shape, Lanes>() for the plan's tile. A plan for packs runs without them if the addresses are not aligned.
template <class Body>
void with_tile(const ProductPlan& plan, bool packed, const Body& body) {
  if (!packed && plan.tile_m >= ScalarTile64x64::kM) return body.template operator()<ScalarTile64x64, 1>();
  if (!packed) return body.template operator()<Tile32x32, 1>();
  if (plan.tile_m == 128) return body.template operator()<Tile128x64, kVector>();
  if (plan.tile_m == 64) return body.template operator()<Tile64x64, kVector>();
  body.template operator()<Tile32x32, kVector>();
}
template <class Element, class Body>
void with_tensor_tile(const ProductPlan& plan, bool packed, const Body& body) {
  constexpr int kAll = kFull<Element>, kFew = sizeof(Element) == 4 ? 1 : kAll / 2;
  // More registers for addresses, of which single floats have the most.
  if (!packed) return body.template operator()<TensorShape<64, 64, kFew == 1 ? 2 : 3>, kFew>();
  if (plan.tile_m == 128 && plan.tile_n == 128) return body.template operator()<TensorShape<128, 128>, kAll>();
  if (plan.tile_m == 128) return body.template operator()<TensorShape<128, 64>, kAll>();
  if (plan.tile_n == 128) return body.template operator()<TensorShape<64, 128>, kAll>();
  body.template operator()<TensorShape<64, 64>, kAll>();
}

}  // namespace mpanet::PRECISION::KERNEL_NS
