// Large square products by cuBLAS, as an upper bound of a GPU's arithmetic rate.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/context.h"

namespace mpanet {

// For each type (f32, tf32, bf16, f16) a function that multiplies two n x n matrices of random values, with sums in
// float. The functions must not outlive the context.
std::vector<std::pair<std::string, std::function<void()>>> cublas_products(Context& context, int n);

}  // namespace mpanet
