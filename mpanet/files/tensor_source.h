// A tensor to be written, with a function that provides its elements.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "mpanet/files/tensor_file.h"

namespace mpanet {

// One of the two functions is set. `read` fills the elements (shape's product of them) of an F64, F32 or I64 tensor;
// `raw` gives the elements' own bytes in C order.
struct TensorSource {
  std::string name;
  Dtype dtype = Dtype::F32;
  std::vector<int64_t> shape;
  std::function<void(double*)> read = {};
  std::function<std::vector<uint8_t>()> raw = {};
  size_t count() const;
  size_t bytes() const { return count() * dtype_bytes(dtype); }
};

// Calls `write` with the elements in pieces, in their type, little endian.
void write_elements(const TensorSource& tensor, const std::function<void(const void* data, size_t bytes)>& write);

}  // namespace mpanet
