#include "data/sets/mat_elements.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/base/error.h"

namespace mpanet::mat {
namespace {

static_assert(std::endian::native == std::endian::little, "files are written in this machine's byte order");

template <class T>
T load(const uint8_t* at, bool swapped) {
  uint8_t bytes[sizeof(T)];
  std::memcpy(bytes, at, sizeof(T));
  if (swapped) std::reverse(std::begin(bytes), std::end(bytes));
  return std::bit_cast<T>(bytes);
}

template <class T>
std::vector<double> load_all(Bytes data, bool swapped) {
  std::vector<double> values(data.size() / sizeof(T));
  for (size_t i = 0; i < values.size(); i++)
    values[i] = static_cast<double>(load<T>(data.data() + i * sizeof(T), swapped));
  return values;
}

template <class T>
std::string bytes_of(const T& value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

const char* class_name(uint8_t kind) {
  switch (kind) {
    case 0:
      return "nothing";
    case kCell:
      return "a cell array";
    case kStruct:
      return "a structure";
    case kChar:
      return "text";
    case kSparse:
      return "a sparse matrix";
    default:
      return kind >= kDoubleClass && kind <= kUint64Class ? "a numeric matrix" : "an object";
  }
}

}  // namespace

std::optional<Element> take_element(Bytes& bytes, bool swapped) {
  if (bytes.size() < 8) return std::nullopt;
  const auto word = load<uint32_t>(bytes.data(), swapped);
  // Small data element format: the tag holds up to four bytes of data, and their number above the type.
  if (const uint32_t small = word >> 16; small != 0) {
    if (small > 4) return std::nullopt;
    const Element element{word & 0xffff, bytes.subspan(4, small)};
    bytes = bytes.subspan(8);
    return element;
  }
  const size_t length = load<uint32_t>(bytes.data() + 4, swapped);
  if (length > bytes.size() - 8) return std::nullopt;
  const Element element{word, bytes.subspan(8, length)};
  // Data are padded to a multiple of eight bytes unless compressed. The padding at the end of the file may be missing.
  const size_t padding = word == kCompressed ? 0 : (8 - length % 8) % 8;
  bytes = bytes.subspan(std::min(8 + length + padding, bytes.size()));
  return element;
}

std::string Array::describe() const {
  std::string text = class_name(kind);
  for (size_t i = 0; i < sizes.size(); i++) text += fmt::format("{}{}", i ? "x" : " of ", sizes[i]);
  return text;
}

std::optional<Array> parse_array(Bytes data, bool swapped) {
  if (data.empty()) return Array{};
  const auto flags = take_element(data, swapped), sizes = take_element(data, swapped),
             name = take_element(data, swapped);
  if (!flags || flags->type != kUint32 || flags->data.size() != 8) return std::nullopt;
  if (!sizes || sizes->type != kInt32 || sizes->data.size() < 8 || sizes->data.size() % 4 != 0) return std::nullopt;
  if (!name || name->type != kInt8) return std::nullopt;
  const auto word = load<uint32_t>(flags->data.data(), swapped);
  Array array;
  array.kind = word & 0xff;
  array.complex = (word & 0x800) != 0;
  if (array.kind == 0) return std::nullopt;
  for (size_t i = 0; i < sizes->data.size(); i += 4)
    array.sizes.push_back(load<uint32_t>(sizes->data.data() + i, swapped));
  array.name = {reinterpret_cast<const char*>(name->data.data()), name->data.size()};
  array.content = data;
  return array;
}

std::optional<std::vector<double>> numbers(const Element& element, bool swapped) {
  switch (element.type) {
    case kInt8:
      return load_all<int8_t>(element.data, swapped);
    case kUint8:
      return load_all<uint8_t>(element.data, swapped);
    case kInt16:
      return load_all<int16_t>(element.data, swapped);
    case kUint16:
      return load_all<uint16_t>(element.data, swapped);
    case kInt32:
      return load_all<int32_t>(element.data, swapped);
    case kUint32:
      return load_all<uint32_t>(element.data, swapped);
    case kSingle:
      return load_all<float>(element.data, swapped);
    case kDouble:
      return load_all<double>(element.data, swapped);
    case kInt64:
      return load_all<int64_t>(element.data, swapped);
    case kUint64:
      return load_all<uint64_t>(element.data, swapped);
    default:
      return std::nullopt;
  }
}

std::optional<std::vector<uint8_t>> inflate(Bytes data, size_t most) {
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) throw std::bad_alloc();
  struct End {
    z_stream& stream;
    ~End() { inflateEnd(&stream); }
  } end{stream};
  stream.next_in = const_cast<Bytef*>(data.data());
  stream.avail_in = static_cast<uInt>(data.size());  // an element's length has 32 bits
  std::vector<uint8_t> out;
  int status = Z_OK;
  while (status == Z_OK) {
    if (out.size() == most) return std::nullopt;
    const size_t done = out.size();
    out.resize(std::min(most, std::max<size_t>(2 * done, 1 << 16)));
    stream.next_out = out.data() + done;
    stream.avail_out = static_cast<uInt>(out.size() - done);
    status = ::inflate(&stream, Z_NO_FLUSH);
    out.resize(out.size() - stream.avail_out);
  }
  if (status != Z_STREAM_END) return std::nullopt;
  return out;
}

std::string element(uint32_t type, std::string_view data) {
  std::string out = bytes_of(type) + bytes_of(static_cast<uint32_t>(data.size()));
  out += data;
  if (type != kCompressed) out.resize((out.size() + 7) / 8 * 8, '\0');
  return out;
}

std::string array(uint8_t kind, uint32_t rows, uint32_t columns, std::string_view name, std::string_view content) {
  std::string data = element(kUint32, bytes_of(uint64_t{kind}));
  data += element(kInt32, bytes_of(rows) + bytes_of(columns));
  data += element(kInt8, name);
  data += content;
  return element(kMatrix, data);
}

std::string compressed(std::string_view data) {
  uLongf size = compressBound(static_cast<uLong>(data.size()));
  std::string out(size, '\0');
  const int status = compress(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(data.data()),
                              static_cast<uLong>(data.size()));
  MPANET_CHECK(status == Z_OK, "zlib answers {}", status);
  out.resize(size);
  return element(kCompressed, out);
}

}  // namespace mpanet::mat
