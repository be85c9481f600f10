// NumPy's .npy files, version 1.0, C order, little endian
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/file.h"

namespace mpanet {

// Without commit(). dtype float32 or uint8, `shape` of any length.
void write_npy(OutputFile& file, const std::vector<int64_t>& shape, const float* values);
void write_npy(OutputFile& file, const std::vector<int64_t>& shape, const uint8_t* values);

struct NpyFloats {
  std::vector<int64_t> shape;
  std::vector<float> values;  // C order
};

// UserError of one line naming the file for anything but complete float32 in C order (version, dtype, order, length).
NpyFloats read_npy(const std::string& path);

}  // namespace mpanet
