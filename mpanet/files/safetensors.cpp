#include "mpanet/files/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/quote.h"
#include "core/base/real.h"
#include "core/base/text.h"

namespace mpanet {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little endian");
using nlohmann::json;

constexpr uint64_t kLongestHeader = 100'000'000;  // bytes; the limit of the format's own library
constexpr uint64_t kLongestPipedWeights = uint64_t{4} << 30;
constexpr size_t kChunk = 1 << 16;  // elements converted at a time
constexpr struct {
  Dtype dtype;
  const char* name;
  size_t bytes;
} kDtypes[] = {{Dtype::F64, "F64", 8},
               {Dtype::F32, "F32", 4},
               {Dtype::F16, "F16", 2},
               {Dtype::BF16, "BF16", 2},
               {Dtype::I64, "I64", 8}};

// Through Narrow, since bfloat16 and float16 convert to float alone.
template <class From, class Narrow = From>
void widen(const std::vector<uint8_t>& raw, size_t count, double* out) {
  for (size_t i = 0; i < count; i++) {
    From value;
    std::memcpy(&value, raw.data() + i * sizeof(From), sizeof(From));
    out[i] = static_cast<double>(static_cast<Narrow>(value));
  }
}

void to_double(Dtype dtype, const std::vector<uint8_t>& raw, size_t count, double* out) {
  switch (dtype) {
    case Dtype::F64:
      return widen<double>(raw, count, out);
    case Dtype::F32:
      return widen<float>(raw, count, out);
    case Dtype::I64:
      return widen<int64_t>(raw, count, out);
    case Dtype::F16:
      return widen<float16, float>(raw, count, out);
    case Dtype::BF16:
      return widen<bfloat16, float>(raw, count, out);
  }
}

// Parses and checks one entry of the header. Messages begin with `where`.
TensorFile::Entry parse_entry(const json& value, const std::string& where, uint64_t data_bytes) {
  TensorFile::Entry entry;
  if (!value.is_object() || !value.contains("dtype") || !value.contains("shape") || !value.contains("data_offsets"))
    fail("{}: expected an object with dtype, shape and data_offsets, got {}", where, shown(value));
  const json &dtype = value["dtype"], &shape = value["shape"], &offsets = value["data_offsets"];
  const auto* known = std::find_if(std::begin(kDtypes), std::end(kDtypes), [&](auto& d) { return dtype == d.name; });
  if (known == std::end(kDtypes)) fail("{}: expected dtype F64, F32, F16, BF16 or I64, got {}", where, shown(dtype));
  entry.dtype = known->dtype;

  const auto is_size = [](const json& v) { return v.is_number_unsigned() && v.get<uint64_t>() <= INT64_MAX; };
  if (!shape.is_array() || !std::all_of(shape.begin(), shape.end(), is_size))
    fail("{}: expected shape to be a list of sizes, got {}", where, shown(shape));
  uint64_t bytes = known->bytes;
  for (const json& size : shape) {
    entry.shape.push_back(size.get<int64_t>());
    if (__builtin_mul_overflow(bytes, size.get<uint64_t>(), &bytes))
      fail("{}: shape {} overflows", where, shown(shape));
  }

  if (!offsets.is_array() || offsets.size() != 2 || !is_size(offsets[0]) || !is_size(offsets[1]))
    fail("{}: expected data_offsets to be [begin, end], got {}", where, shown(offsets));
  entry.begin = offsets[0], entry.end = offsets[1];
  if (entry.begin > entry.end || entry.end > data_bytes)
    fail("{}: data_offsets [{}, {}] pass the file's {} bytes of data", where, entry.begin, entry.end, data_bytes);
  if (entry.end - entry.begin != bytes)
    fail("{}: {} of shape {} take {} bytes, data_offsets [{}, {}] hold {}", where, known->name, shape_text(entry.shape),
         bytes, entry.begin, entry.end, entry.end - entry.begin);
  return entry;
}

}  // namespace

size_t dtype_bytes(Dtype dtype) { return kDtypes[static_cast<int>(dtype)].bytes; }
std::string_view dtype_name(Dtype dtype) { return kDtypes[static_cast<int>(dtype)].name; }

std::string shape_text(const std::vector<int64_t>& shape) {
  std::vector<std::string> sizes;
  for (int64_t size : shape) sizes.push_back(std::to_string(size));
  return fmt::format("({})", join(sizes));
}

TensorFile::TensorFile(const std::string& path) : path_(path), file_(path, kLongestPipedWeights) { read_header(); }

void TensorFile::read_at(void* to, size_t bytes, uint64_t offset) const {
  if (file_.read(to, bytes, offset) < bytes) fail("{}: truncated while it was read", path_);
}

void TensorFile::read_header() {
  const uint64_t size = file_.size();
  uint64_t length = 0;
  if (size < sizeof length + 2) fail("{}: expected a safetensors file, got {}", path_, counted(size, "byte"));
  read_at(&length, sizeof length, 0);
  if (length > size - sizeof length || length > kLongestHeader)
    fail("{}: expected a safetensors file, but its header would have {} bytes and the file has {}{}", path_, length,
         size, length <= kLongestHeader ? " (truncated?)" : "");
  std::string text(length, '\0');
  read_at(text.data(), length, sizeof length);
  const uint64_t data_start = sizeof length + length;

  const json header = parse_json(text, path_ + ": header");
  if (!header.is_object()) fail("{}: header: expected an object, got {}", path_, shown(header));
  for (const auto& [name, value] : header.items()) {
    if (name != "__metadata__") {
      tensors_[name] = parse_entry(value, fmt::format("{}: tensor {}", path_, quote(name)), size - data_start);
      continue;
    }
    if (!value.is_object()) fail("{}: __metadata__: expected an object of strings, got {}", path_, shown(value));
    for (const auto& [key, entry] : value.items()) {
      if (!entry.is_string()) fail("{}: __metadata__: {}: expected a string, got {}", path_, quote(key), shown(entry));
      metadata_[key] = entry.get<std::string>();
    }
  }
  check_layout(size - data_start);
  for (auto& [name, entry] : tensors_) entry.begin += data_start, entry.end += data_start;
}

void TensorFile::check_layout(uint64_t data_bytes) const {
  std::vector<std::pair<const std::string*, const Entry*>> order;
  for (const auto& [name, entry] : tensors_) order.emplace_back(&name, &entry);
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second->begin, a.second->end) < std::pair(b.second->begin, b.second->end);
  });
  uint64_t at = 0;
  for (const auto& [name, entry] : order) {
    if (entry->begin != at)
      fail("{}: tensor {}: expected its data at byte {}, right after the one before, got {}", path_, quote(*name), at,
           entry->begin);
    at = entry->end;
  }
  if (at != data_bytes) fail("{}: the tensors take {} bytes, but {} follow the header", path_, at, data_bytes);
}

const TensorFile::Entry* TensorFile::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

std::vector<double> TensorFile::read(const std::string& name) const {
  const Entry* entry = find(name);
  if (!entry) fail("{}: tensor {} is missing", path_, quote(name));
  const size_t bytes = dtype_bytes(entry->dtype), count = entry->count();
  std::vector<double> values(count);
  std::vector<uint8_t> raw(std::min(count, kChunk) * bytes);
  for (size_t done = 0; done < count; done += kChunk) {
    const size_t now = std::min(kChunk, count - done);
    read_at(raw.data(), now * bytes, entry->begin + done * bytes);
    to_double(entry->dtype, raw, now, values.data() + done);
  }
  return values;
}

namespace {

template <class To>
void write_as(OutputFile& file, const std::vector<double>& values) {
  std::vector<To> chunk;
  for (size_t done = 0; done < values.size(); done += kChunk) {
    const size_t now = std::min(kChunk, values.size() - done);
    chunk.resize(now);
    std::transform(values.begin() + static_cast<ptrdiff_t>(done), values.begin() + static_cast<ptrdiff_t>(done + now),
                   chunk.begin(), [](double v) { return static_cast<To>(v); });
    file.write(chunk.data(), now * sizeof(To));
  }
}

size_t element_count(const TensorSource& tensor) {
  size_t count = 1;
  for (int64_t size : tensor.shape) count *= static_cast<size_t>(size);
  return count;
}

}  // namespace

void write_safetensors(const std::string& path, std::vector<TensorSource> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorSource& a, const TensorSource& b) {
    return std::pair(dtype_bytes(b.dtype), std::cref(a.name).get()) <
           std::pair(dtype_bytes(a.dtype), std::cref(b.name).get());
  });
  json header = json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t at = 0;
  for (const TensorSource& tensor : tensors) {
    MPANET_CHECK(tensor.dtype == Dtype::F64 || tensor.dtype == Dtype::F32 || tensor.dtype == Dtype::I64, "{} as {}",
                 tensor.name, dtype_name(tensor.dtype));
    MPANET_CHECK(!header.contains(tensor.name), "{} twice", tensor.name);
    const uint64_t end = at + element_count(tensor) * dtype_bytes(tensor.dtype);
    header[tensor.name] = {{"dtype", dtype_name(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data begin at a multiple of eight

  OutputFile file(path);
  const uint64_t length = text.size();
  file.write(&length, sizeof length);
  file.write(text);
  std::vector<double> values;
  for (const TensorSource& tensor : tensors) {
    values.resize(element_count(tensor));
    tensor.read(values.data());
    if (tensor.dtype == Dtype::F64) write_as<double>(file, values);
    if (tensor.dtype == Dtype::F32) write_as<float>(file, values);
    if (tensor.dtype == Dtype::I64) write_as<int64_t>(file, values);
  }
  file.commit();
}

}  // namespace mpanet
