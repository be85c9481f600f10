#include "mpanet/files/safetensors.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/quote.h"
#include "core/base/text.h"

namespace mpanet {
namespace {

using nlohmann::json;

constexpr uint64_t kLongestHeader = 100'000'000;  // bytes; the limit of the format's own library

// A tensor's bytes among the data, from their beginning.
struct Range {
  uint64_t begin = 0, end = 0;
};

// Parses and checks one entry of the header. Messages begin with `where`.
std::pair<TensorEntry, Range> parse_entry(const json& value, const std::string& where, uint64_t data_bytes) {
  TensorEntry entry;
  Range range;
  if (!value.is_object())
    fail("{}: expected an object with dtype, shape and data_offsets, got {}", where, shown(value));
  for (const char* key : {"dtype", "shape", "data_offsets"})
    if (!value.contains(key)) fail("{}: expected dtype, shape and data_offsets, got no {}", where, key);
  const json &dtype = value["dtype"], &shape = value["shape"], &offsets = value["data_offsets"];
  const auto known = dtype.is_string() ? find_dtype(dtype.get<std::string>()) : std::nullopt;
  if (!known) fail("{}: expected a known dtype such as F32, got {}", where, shown(dtype));
  entry.dtype = *known;

  const auto is_size = [](const json& v) { return v.is_number_unsigned() && v.get<uint64_t>() <= INT64_MAX; };
  if (!shape.is_array() || !std::all_of(shape.begin(), shape.end(), is_size))
    fail("{}: expected shape to be a list of sizes, got {}", where, shown(shape));
  uint64_t bytes = dtype_bytes(entry.dtype);
  for (const json& size : shape) {
    entry.shape.push_back(size.get<int64_t>());
    if (__builtin_mul_overflow(bytes, size.get<uint64_t>(), &bytes))
      fail("{}: shape {} overflows", where, shown(shape));
  }

  if (!offsets.is_array() || offsets.size() != 2 || !is_size(offsets[0]) || !is_size(offsets[1]))
    fail("{}: expected data_offsets to be [begin, end], got {}", where, shown(offsets));
  range = {offsets[0], offsets[1]};
  if (range.begin > range.end || range.end > data_bytes)
    fail("{}: data_offsets [{}, {}] pass the file's {} bytes of data", where, range.begin, range.end, data_bytes);
  if (range.end - range.begin != bytes)
    fail("{}: {} of shape {} take {} bytes, data_offsets [{}, {}] hold {}", where, dtype_name(entry.dtype),
         shape_text(entry.shape), bytes, range.begin, range.end, range.end - range.begin);
  return {entry, range};
}

// The data of all tensors, in the file's order, must follow each other and fill the file.
void check_layout(const std::string& path, const std::map<std::string, Range>& ranges, uint64_t data_bytes) {
  std::vector<std::pair<const std::string*, Range>> order;
  for (const auto& [name, range] : ranges) order.emplace_back(&name, range);
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second.begin, a.second.end) < std::pair(b.second.begin, b.second.end);
  });
  uint64_t at = 0;
  for (const auto& [name, range] : order) {
    if (range.begin != at)
      fail("{}: tensor {}: expected its data at byte {}, right after the one before, got {}", path, quote(*name), at,
           range.begin);
    at = range.end;
  }
  if (at != data_bytes) fail("{}: the tensors take {} bytes, but {} follow the header", path, at, data_bytes);
}

}  // namespace

TensorIndex read_safetensors(const InputFile& file) {
  const std::string& path = file.path();
  const auto read_at = [&](void* to, size_t bytes, uint64_t offset) {
    if (file.read(to, bytes, offset) < bytes) fail("{}: truncated while it was read", path);
  };
  const uint64_t size = file.size();
  uint64_t length = 0;
  if (size < sizeof length + 2) fail("{}: expected a safetensors or .pth file, got {}", path, counted(size, "byte"));
  read_at(&length, sizeof length, 0);
  if (length > size - sizeof length || length > kLongestHeader)
    fail("{}: expected a safetensors or .pth file; as safetensors its header would have {} bytes, the file has {}{}",
         path, length, size, length <= kLongestHeader ? " (truncated?)" : "");
  std::string text(length, '\0');
  read_at(text.data(), length, sizeof length);
  const uint64_t data_start = sizeof length + length;

  TensorIndex index;
  std::map<std::string, Range> ranges;
  const json header = parse_json(text, path + ": header");
  if (!header.is_object()) fail("{}: header: expected an object, got {}", path, shown(header));
  for (const auto& [name, value] : header.items()) {
    if (name != "__metadata__") {
      const auto [entry, range] =
          parse_entry(value, fmt::format("{}: tensor {}", path, quote(name)), size - data_start);
      ranges[name] = range;
      index.tensors[name] = entry;
      index.tensors[name].begin = data_start + range.begin;
      continue;
    }
    if (!value.is_object()) fail("{}: __metadata__: expected an object of strings, got {}", path, shown(value));
    for (const auto& [key, entry] : value.items()) {
      if (!entry.is_string()) fail("{}: __metadata__: {}: expected a string, got {}", path, quote(key), shown(entry));
      index.metadata[key] = entry.get<std::string>();
    }
  }
  check_layout(path, ranges, size - data_start);
  return index;
}

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
    MPANET_CHECK(!header.contains(tensor.name), "{} twice", tensor.name);
    const uint64_t end = at + tensor.bytes();
    header[tensor.name] = {{"dtype", dtype_name(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data begin at a multiple of eight

  OutputFile file(path);
  const uint64_t length = text.size();
  file.write(&length, sizeof length);
  file.write(text);
  for (const TensorSource& tensor : tensors)
    write_elements(tensor, [&](const void* data, size_t bytes) { file.write(data, bytes); });
  file.commit();
}

}  // namespace mpanet
