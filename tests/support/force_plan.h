// Plans of convolutions for tests: shapes, and every plan of a shape.
#pragma once
#include "kernels/conv_plan.h"
#include "kernels/cuda/conv_tiles.h"
#include "tests/support/conv_test.h"

namespace mpanet::PRECISION {

// Tiles of 128 have remainders in both directions in the first shape. Taps begin within a step in the first and third;
// the second has two steps, the fourth a part of one. No tap reaches three quarters of the fifth's pixels. In the
// gradients of the next three, 16 pixels of a residue are a part of a line, two lines, and two pictures of which the
// last does not exist. The last shapes cannot be read in packs: the stem, which has a kernel of its own in 16 bits,
// with a part of one tile and with three tiles, and primes.
inline const ConvShape kShapes[] = {
    {.n = 2, .h = 10, .w = 9, .c = 40, .k = 136, .kh = 3, .kw = 3, .stride = 1, .pad = 1},
    {.n = 3, .h = 8, .w = 8, .c = 64, .k = 64, .kh = 1, .kw = 1},
    {.n = 2, .h = 13, .w = 11, .c = 24, .k = 48, .kh = 3, .kw = 3, .stride = 2, .pad = 1},
    {.n = 1, .h = 7, .w = 6, .c = 8, .k = 16, .kh = 1, .kw = 3, .stride = 1, .pad = 0},
    {.n = 2, .h = 9, .w = 7, .c = 72, .k = 80, .kh = 1, .kw = 1, .stride = 2},
    {.n = 1, .h = 6, .w = 32, .c = 72, .k = 16, .kh = 3, .kw = 3, .stride = 2, .pad = 1},
    {.n = 2, .h = 8, .w = 16, .c = 16, .k = 24, .kh = 1, .kw = 1, .stride = 2},
    {.n = 3, .h = 8, .w = 4, .c = 64, .k = 8, .kh = 3, .kw = 3, .stride = 2, .pad = 1},
    {.n = 2, .h = 17, .w = 12, .c = 3, .k = 64, .kh = 7, .kw = 7, .stride = 2, .pad = 3},
    {.n = 3, .h = 22, .w = 19, .c = 3, .k = 40, .kh = 7, .kw = 7, .stride = 2, .pad = 3},
    {.n = 2, .h = 6, .w = 5, .c = 17, .k = 13, .kh = 3, .kw = 3, .stride = 1, .pad = 1},
};

constexpr bool kHalf = sizeof(storage) == 2;

// The plans of a pass on a backend, as its stream multiplies. The cpu backend has none.
inline std::vector<ForcedPlan> plans(const Context& context, const ConvShape& s, ConvPass pass) {
  if (context.backend() == Backend::cpu) return {{}};
  std::vector<ForcedPlan> tiles = ASK_BACKEND(context, conv_tiles(context.stream(), s, pass));
  if (tiles.empty()) tiles = {{.loop = ConvLoop::MmaSync}};
  std::vector<ForcedPlan> plans;
  for (ForcedPlan& tile : tiles)
    for (const int splits : {1, 3}) {
      tile.splits = splits;
      if (tile.loop == ConvLoop::Wgmma)
        tile.blocks = splits == 1 ? 1 : 0;  // one block computes all tiles, or each its own
      plans.push_back(tile);
    }
  return plans;
}

inline std::string text(const ConvShape& s, const ForcedPlan& plan, const std::string& more) {
  return fmt::format("{}, {}tile {}x{}, {} splits, {}", name(s), plan.loop == ConvLoop::Wgmma ? "wgmma, " : "",
                     plan.tile_m, plan.tile_n, plan.splits, more);
}

// Forces a plan, and restores the choice.
class Force {
 public:
  explicit Force(const ForcedPlan& plan) { force_plan(plan); }
  ~Force() { force_plan({}); }
  Force(const Force&) = delete;
  Force& operator=(const Force&) = delete;
};

}  // namespace mpanet::PRECISION
