// For tests and benchmarks: the tiles of a convolution's pass, of both main loops, each as a plan that can be forced.
#pragma once
#include <vector>

#include "core/base/real.h"
#include "kernels/conv_plan.h"
#include "kernels/types.h"

namespace mpanet::PRECISION {

// None for a shape that cannot be read in packs, where a plan's tile is ignored. Any number of splits can be added.
namespace cuda {
std::vector<ForcedPlan> conv_tiles(Stream stream, const ConvShape& shape, ConvPass pass);
}
namespace emu {
std::vector<ForcedPlan> conv_tiles(Stream stream, const ConvShape& shape, ConvPass pass);
}
namespace cpu {
inline std::vector<ForcedPlan> conv_tiles(Stream, const ConvShape&, ConvPass) { return {}; }  // plans are of GPUs
}  // namespace cpu

}  // namespace mpanet::PRECISION
