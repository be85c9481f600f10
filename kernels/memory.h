// kernels/memory.inc per backend, in namespace mpanet: no precision.
#pragma once
#include "kernels/types.h"

namespace mpanet::cpu {
#include "kernels/memory.inc"
}
