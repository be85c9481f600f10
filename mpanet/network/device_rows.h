// Embeddings in the memory of a GPU or of the emulation, from the network's output to the ranking.
#pragma once
#include <cstddef>
#include <vector>

#include "core/context.h"

namespace mpanet {

// Rows of floats (count, dimension), whatever the precision of the engine that wrote them; zeros at first. Independent
// of the engine: work of its stream on the rows must be done before they are read.
class DeviceRows {
 public:
  DeviceRows(Device device, size_t count, int dimension)
      : context_(device), count_(count), dimension_(dimension), values_(context_, bytes_of(count)) {
    context_.synchronize();  // the zeros, which streams of others do not wait for
  }
  // Copies rows of the host.
  DeviceRows(Device device, const std::vector<float>& values, int dimension)
      : DeviceRows(device, values.size() / static_cast<size_t>(dimension), dimension) {
    context_.to_device(values_.as<void>(), values.data(), bytes_of(count_));
    context_.synchronize();
  }
  Device device() const { return context_.device(); }
  size_t count() const { return count_; }
  int dimension() const { return dimension_; }
  float* row(size_t index) const { return values_.as<float>() + index * static_cast<size_t>(dimension_); }
  // Copies rows first .. first + count - 1 to the host.
  void read(size_t first, size_t count, float* out) const { context_.to_host(out, row(first), bytes_of(count)); }
  size_t bytes_of(size_t rows) const { return rows * static_cast<size_t>(dimension_) * sizeof(float); }

 private:
  mutable Context context_;
  size_t count_;
  int dimension_;
  Buffer values_;
};

}  // namespace mpanet
