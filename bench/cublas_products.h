// Large square products by cuBLAS, the ceiling of a GPU's arithmetic.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/context.h"

namespace mpanet {

// By type (f32, tf32, bf16, f16) a call that multiplies two matrices of n x n random values. Sums are in float. The
// calls must not outlive the context.
std::vector<std::pair<std::string, std::function<void()>>> cublas_products(Context& context, int n);

}  // namespace mpanet
