// Random initial values (docs/method.md, section 1), in PyTorch's order of elements.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace mpanet {

// Values of the tensor `name`. Convolutions: Kaiming normal, fan-out. spatial_attention: uniform in +-1/sqrt(C), bias
// 0. Classifiers: uniform in +-1/sqrt(D); a teacher equals its live classifier. Norms: weight 1, bias 0. Centers:
// standard normal. The random stream depends only on the seed and the name.
std::vector<double> initial_values(const std::string& name, const std::vector<int64_t>& shape, uint64_t seed);

}  // namespace mpanet
