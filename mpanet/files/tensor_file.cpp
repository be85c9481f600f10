#include "mpanet/files/tensor_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "core/base/error.h"
#include "core/base/quote.h"
#include "core/base/real.h"
#include "core/base/text.h"
#include "mpanet/files/pth.h"
#include "mpanet/files/safetensors.h"

namespace mpanet {
namespace {

static_assert(std::endian::native == std::endian::little, "all formats are little endian");

constexpr uint64_t kLongestPipedWeights = uint64_t{4} << 30;
constexpr size_t kChunk = 1 << 16;  // elements converted at a time
constexpr struct {
  Dtype dtype;
  const char* name;
  size_t bytes;
} kDtypes[] = {
    {Dtype::F64, "F64", 8},   {Dtype::F32, "F32", 4},         {Dtype::F16, "F16", 2},         {Dtype::BF16, "BF16", 2},
    {Dtype::I64, "I64", 8},   {Dtype::I32, "I32", 4},         {Dtype::I16, "I16", 2},         {Dtype::I8, "I8", 1},
    {Dtype::U64, "U64", 8},   {Dtype::U32, "U32", 4},         {Dtype::U16, "U16", 2},         {Dtype::U8, "U8", 1},
    {Dtype::Bool, "BOOL", 1}, {Dtype::F8_E4M3, "F8_E4M3", 1}, {Dtype::F8_E5M2, "F8_E5M2", 1}, {Dtype::C64, "C64", 8}};
static_assert(std::size(kDtypes) == kDtypeCount);

// Converts through Narrow, because bfloat16 and float16 only convert to float.
template <class From, class Narrow = From>
bool widen(const uint8_t* raw, size_t count, double* out) {
  for (size_t i = 0; i < count; i++) {
    From value;
    std::memcpy(&value, raw + i * sizeof(From), sizeof(From));
    out[i] = static_cast<double>(static_cast<Narrow>(value));
  }
  return true;
}

// Returns false for a type without a conversion.
bool to_double(Dtype dtype, const uint8_t* raw, size_t count, double* out) {
  switch (dtype) {
    case Dtype::F64:
      return widen<double>(raw, count, out);
    case Dtype::F32:
      return widen<float>(raw, count, out);
    case Dtype::F16:
      return widen<float16, float>(raw, count, out);
    case Dtype::BF16:
      return widen<bfloat16, float>(raw, count, out);
    case Dtype::I64:
      return widen<int64_t>(raw, count, out);
    case Dtype::I32:
      return widen<int32_t>(raw, count, out);
    case Dtype::I16:
      return widen<int16_t>(raw, count, out);
    case Dtype::I8:
      return widen<int8_t>(raw, count, out);
    case Dtype::U64:
      return widen<uint64_t>(raw, count, out);
    case Dtype::U32:
      return widen<uint32_t>(raw, count, out);
    case Dtype::U16:
      return widen<uint16_t>(raw, count, out);
    case Dtype::U8:
    case Dtype::Bool:
      return widen<uint8_t>(raw, count, out);
    case Dtype::F8_E4M3:
    case Dtype::F8_E5M2:
    case Dtype::C64:
      return false;
  }
  return false;
}

// The three formats begin differently. Byte 8 of a safetensors file is the brace of its header; of a zip entry it is
// half of the compression method, and a stream's first pickle has a digit of PyTorch's magic number there.
TensorFile::Format format_of(const InputFile& file) {
  std::array<uint8_t, 9> start{};
  const size_t got = file.read(start.data(), start.size(), 0);
  if (got == start.size() && start[8] == '{') return TensorFile::Format::Safetensors;
  if (got >= 4 && std::memcmp(start.data(), "PK\3\4", 4) == 0) return TensorFile::Format::Zip;
  if (got >= 2 && start[0] == 0x80 && start[1] >= 2 && start[1] <= 5) return TensorFile::Format::Stream;
  return TensorFile::Format::Safetensors;
}

// Copies elements with the entry's strides into C order.
void gather(const TensorEntry& entry, const uint8_t* from, uint8_t* to) {
  const size_t bytes = dtype_bytes(entry.dtype), axes = entry.shape.size(), count = entry.count();
  std::vector<int64_t> index(axes, 0);
  int64_t at = 0;
  for (size_t i = 0; i < count; i++) {
    std::memcpy(to + i * bytes, from + static_cast<size_t>(at) * bytes, bytes);
    for (size_t axis = axes; axis-- > 0;) {
      at += entry.strides[axis];
      if (++index[axis] < entry.shape[axis]) break;
      at -= entry.strides[axis] * entry.shape[axis];
      index[axis] = 0;
    }
  }
}

}  // namespace

size_t dtype_bytes(Dtype dtype) { return kDtypes[static_cast<int>(dtype)].bytes; }
std::string_view dtype_name(Dtype dtype) { return kDtypes[static_cast<int>(dtype)].name; }
std::optional<Dtype> find_dtype(std::string_view name) {
  for (const auto& known : kDtypes)
    if (name == known.name) return known.dtype;
  return std::nullopt;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::vector<std::string> sizes;
  for (int64_t size : shape) sizes.push_back(std::to_string(size));
  return fmt::format("({})", join(sizes));
}

size_t TensorEntry::count() const {
  size_t n = 1;
  for (int64_t size : shape) n *= static_cast<size_t>(size);
  return n;
}

size_t TensorEntry::span() const {
  if (strides.empty() || count() == 0) return count() * dtype_bytes(dtype);
  size_t last = 0;
  for (size_t axis = 0; axis < shape.size(); axis++)
    last += static_cast<size_t>(shape[axis] - 1) * static_cast<size_t>(strides[axis]);
  return (last + 1) * dtype_bytes(dtype);
}

TensorFile::TensorFile(const std::string& path) : file_(path, kLongestPipedWeights), format_(format_of(file_)) {
  index_ = format_ == Format::Safetensors ? read_safetensors(file_) : read_pth(file_, format_ == Format::Zip);
}

const TensorFile::Entry* TensorFile::find(const std::string& name) const {
  const auto found = index_.tensors.find(name);
  return found == index_.tensors.end() ? nullptr : &found->second;
}

const TensorFile::Entry& TensorFile::get(const std::string& name) const {
  const Entry* entry = find(name);
  if (!entry) fail("{}: tensor {} is missing", path(), quote(name));
  return *entry;
}

// `offset` counts from the entry's first element.
void TensorFile::read_at(const Entry& entry, void* to, size_t bytes, uint64_t offset) const {
  if (entry.data) {
    MPANET_CHECK(entry.begin + offset + bytes <= entry.data->size(), "{} bytes of {}", bytes, entry.data->size());
    if (bytes > 0) std::memcpy(to, entry.data->data() + entry.begin + offset, bytes);
  } else if (file_.read(to, bytes, entry.begin + offset) < bytes) {
    fail("{}: truncated while it was read", path());
  }
}

std::vector<double> TensorFile::read(const std::string& name) const {
  const Entry& entry = get(name);
  const size_t bytes = dtype_bytes(entry.dtype), count = entry.count();
  std::vector<double> values(count);
  std::vector<uint8_t> raw;
  if (entry.strides.empty())
    raw.resize(std::min(count, kChunk) * bytes);
  else
    raw = read_raw(name);
  for (size_t done = 0; done < count; done += kChunk) {
    const size_t now = std::min(kChunk, count - done);
    const uint8_t* from = raw.data();
    if (entry.strides.empty())
      read_at(entry, raw.data(), now * bytes, done * bytes);
    else
      from += done * bytes;
    if (!to_double(entry.dtype, from, now, values.data() + done))
      fail("{}: tensor {}: expected numbers that can be computed with, got {}", path(), quote(name),
           dtype_name(entry.dtype));
  }
  return values;
}

std::vector<uint8_t> TensorFile::read_raw(const std::string& name) const {
  const Entry& entry = get(name);
  std::vector<uint8_t> span(entry.span());
  read_at(entry, span.data(), span.size(), 0);
  if (entry.strides.empty()) return span;
  std::vector<uint8_t> raw(entry.count() * dtype_bytes(entry.dtype));
  gather(entry, span.data(), raw.data());
  return raw;
}

}  // namespace mpanet
