#include "mpanet/files/tensor_source.h"

#include <algorithm>

#include "core/base/error.h"

namespace mpanet {
namespace {

constexpr size_t kChunk = 1 << 16;  // elements converted at a time

template <class To>
void write_as(const std::vector<double>& values, const std::function<void(const void*, size_t)>& write) {
  std::vector<To> chunk;
  for (size_t done = 0; done < values.size(); done += kChunk) {
    const size_t now = std::min(kChunk, values.size() - done);
    chunk.resize(now);
    std::transform(values.begin() + static_cast<ptrdiff_t>(done), values.begin() + static_cast<ptrdiff_t>(done + now),
                   chunk.begin(), [](double v) { return static_cast<To>(v); });
    write(chunk.data(), now * sizeof(To));
  }
}

}  // namespace

size_t TensorSource::count() const {
  size_t n = 1;
  for (int64_t size : shape) n *= static_cast<size_t>(size);
  return n;
}

void write_elements(const TensorSource& tensor, const std::function<void(const void* data, size_t bytes)>& write) {
  if (tensor.raw) {
    const std::vector<uint8_t> bytes = tensor.raw();
    MPANET_CHECK(bytes.size() == tensor.bytes(), "{}: {} bytes of {}", tensor.name, bytes.size(), tensor.bytes());
    write(bytes.data(), bytes.size());
    return;
  }
  std::vector<double> values(tensor.count());
  tensor.read(values.data());
  if (tensor.dtype == Dtype::F64)
    write_as<double>(values, write);
  else if (tensor.dtype == Dtype::F32)
    write_as<float>(values, write);
  else if (tensor.dtype == Dtype::I64)
    write_as<int64_t>(values, write);
  else
    MPANET_CHECK(false, "{} as {}", tensor.name, dtype_name(tensor.dtype));
}

}  // namespace mpanet
