// The values that training starts from (docs/method.md, section 1), in PyTorch's order of elements.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace mpanet {

// Convolutions: Kaiming normal, fan-out. spatial_attention: uniform +-1/sqrt(C), bias 0. Classifiers: uniform
// +-1/sqrt(features); a teacher gets its live classifier's values. Norms 1 and 0; centers standard normal.
// Every tensor draws from a stream of its own, named after it.
std::vector<double> initial_values(const std::string& name, const std::vector<int64_t>& shape, uint64_t seed);

}  // namespace mpanet
