// Plans of the handwritten convolution kernels that are not the fastest ones: for tests, so that small shapes run what
// large ones run, and to count a large batch's work on a small one.
#pragma once

namespace mpanet {

// Main loops of 16-bit convolutions: of tensor_tile.cuh, of sm90/.
enum class ConvLoop { Any, MmaSync, Wgmma };

// Zeros and Any leave the choice. A tile must be one that the precision has; shapes that cannot be read in packs ignore
// it. splits: at most so many parts of the depth, of whole steps. blocks: at most so many of the wgmma loop, which
// share the tiles. sums: false if no epilogue may compute sums for norms. batch: tiles and splits are those of so many
// pictures.
struct ForcedPlan {
  int tile_m = 0, tile_n = 0, splits = 0;
  ConvLoop loop = ConvLoop::Any;
  int blocks = 0;
  bool sums = true;
  int batch = 0;
};

// Determines the plans of all later convolutions on the cuda and emu backends, and their workspaces, until the next
// call. Not while another thread runs kernels.
void force_plan(const ForcedPlan& plan);
const ForcedPlan& forced_plan();

}  // namespace mpanet
