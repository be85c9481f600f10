// For tests: plans of convolutions that are not the fastest ones, so that small shapes run what large ones run.
#pragma once
#include "core/base/real.h"

namespace mpanet::PRECISION {

// Main loops of 16-bit convolutions: of tensor_tile.cuh, of sm90/.
enum class ConvLoop { Any, MmaSync, Wgmma };

// Zeros and Any leave the choice. A tile must be one that the precision has; shapes that cannot be read in packs ignore
// it. splits: at most so many parts of the depth, of whole steps. blocks: at most so many of the wgmma loop, which
// share the tiles. sums: false if no epilogue may compute sums for norms.
struct ForcedPlan {
  int tile_m = 0, tile_n = 0, splits = 0;
  ConvLoop loop = ConvLoop::Any;
  int blocks = 0;
  bool sums = true;
};

// Determines the plans of all later convolutions, and their workspaces, until the next call.
namespace cuda {
void force_plan(const ForcedPlan& plan);
}
namespace emu {
void force_plan(const ForcedPlan& plan);
}

}  // namespace mpanet::PRECISION
