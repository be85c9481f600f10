// kernels/embeddings.inc once per backend, in the precision PRECISION. Apart from kernels.h, which every layer
// includes.
#pragma once
#include "kernels/kernels.h"

namespace mpanet::PRECISION {

namespace cpu {
#include "kernels/embeddings.inc"
}
namespace emu {
#include "kernels/embeddings.inc"
}
namespace cuda {
#include "kernels/embeddings.inc"
}

}  // namespace mpanet::PRECISION
