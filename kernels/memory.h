// kernels/memory.inc once per backend. It has no precision.
#pragma once
#include "kernels/types.h"

namespace mpanet {
namespace cpu {
#include "kernels/memory.inc"
}
namespace emu {
#include "kernels/memory.inc"
}
namespace cuda {
#include "kernels/memory.inc"
}
}  // namespace mpanet
