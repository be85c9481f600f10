// NumPy's .npy files, version 1.0, C order, little endian
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/file.h"

namespace mpanet {

// Write an array of dtype float32 or uint8, values in C order. The caller calls commit(). UserError as OutputFile.
void write_npy(OutputFile& file, const std::vector<int64_t>& shape, const float* values);
void write_npy(OutputFile& file, const std::vector<int64_t>& shape, const uint8_t* values);

struct NpyFloats {
  std::vector<int64_t> shape;
  std::vector<float> values;  // C order
};

// Reads a float32 array. UserError, one line with the path, for another version, dtype or order, or a wrong length.
NpyFloats read_npy(const std::string& path);

}  // namespace mpanet
