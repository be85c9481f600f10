// The formulas of the fixtures' parameters and pictures (docs/method.md, section 6), as in the PyTorch reference.
#pragma once
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace mpanet::reference {

// `count` doubles in [-1, 1): element i is splitmix64 of (64-bit FNV-1a of the name + salt + i).
inline std::vector<double> uniform(const std::string& name, int64_t count, uint64_t salt = 0) {
  uint64_t hash = 0xCBF29CE484222325;
  for (const unsigned char byte : name) hash = (hash ^ byte) * 0x100000001B3;
  std::vector<double> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); i++) {
    uint64_t z = hash + salt + i + 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    z ^= z >> 31;
    values[i] = static_cast<double>(z >> 11) * 0x1p-52 - 1.0;
  }
  return values;
}

// The value of the parameter or buffer `name` (PyTorch's shape) in every fixture, rounded to float.
inline std::vector<double> fill(const std::string& name, const std::vector<int64_t>& shape, uint64_t salt) {
  int64_t count = 1;
  for (const int64_t d : shape) count *= d;
  std::string source = name;
  if (const size_t at = source.find("classifier_."); at != std::string::npos) source.erase(at + 10, 1);
  std::vector<double> values = uniform(source, count, salt);
  double scale = 0.2, offset = 1.0;  // normalisation weights
  if (name == "bn_neck.bias") {
    scale = offset = 0;
  } else if (name.ends_with("running_var")) {
    scale = 0.3;
  } else if (name.ends_with("running_mean") || name.ends_with("bias")) {
    scale = 0.1;
    offset = 0;
  } else if (shape.size() == 4) {
    scale = std::sqrt(3.0) * std::sqrt(2.0 / static_cast<double>(shape[0] * shape[2] * shape[3]));
    offset = 0;
  } else if (shape.size() == 2) {
    scale = std::sqrt(3.0) * 0.05;
    offset = 0;
  }
  for (double& v : values) v = static_cast<float>(offset + v * scale);
  return values;
}

}  // namespace mpanet::reference
