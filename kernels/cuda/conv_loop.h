// For tests: which shapes the main loop of sm_90a computes (wgmma_calls.h).
#pragma once
#include "core/base/real.h"
#include "kernels/types.h"

namespace mpanet::PRECISION {

// Whether a plan with ConvLoop::Wgmma can be forced.
namespace cuda {
bool can_force_wgmma(Stream stream, const ConvShape& shape, ConvPass pass);
}
namespace emu {
bool can_force_wgmma(Stream stream, const ConvShape& shape, ConvPass pass);
}

}  // namespace mpanet::PRECISION
