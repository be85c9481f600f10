// The CPU's vendor library at the kernels' shapes, in float and in the layouts that it likes best.
#pragma once
#include "bench/kernel_bench.h"

namespace mpanet {

// Empty functions in a build without oneDNN.
std::function<Call(Memory&)> onednn_convolution(const ConvShape& shape, ConvPass pass);
std::function<Call(Memory&)> onednn_product(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k);

}  // namespace mpanet
