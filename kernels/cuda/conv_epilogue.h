// The operations that a library's convolution does not do (conv_epilogue.cu). emu is for tests.
#pragma once
#include "core/base/real.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION {
namespace cuda {
// y (rows, k) = act(scale y + shift + residual), in place
void finish_convolution(Stream stream, storage* y, int64_t rows, int k, const ConvEpilogue& epilogue);
// to (+)= from
void widen(Stream stream, const storage* from, real* to, int64_t count, Write write);
}  // namespace cuda
namespace emu {
void finish_convolution(Stream stream, storage* y, int64_t rows, int k, const ConvEpilogue& epilogue);
void widen(Stream stream, const storage* from, real* to, int64_t count, Write write);
}  // namespace emu
}  // namespace mpanet::PRECISION
