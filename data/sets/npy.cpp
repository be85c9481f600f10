#include "data/sets/npy.h"

#include <bit>
#include <charconv>
#include <cstring>
#include <string_view>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/quote.h"

namespace mpanet {
namespace {

static_assert(std::endian::native == std::endian::little, "values are written as they lie in memory");

constexpr std::string_view kMagic("\x93NUMPY\x01\x00", 8);  // and version 1.0

size_t element_count(const std::vector<int64_t>& shape) {
  size_t count = 1;
  for (int64_t d : shape) count *= static_cast<size_t>(d);
  return count;
}

// A tuple as Python prints it: "(2, 3)", "(5,)", "()".
std::string shape_text(const std::vector<int64_t>& shape) {
  std::string sizes;
  for (size_t i = 0; i < shape.size(); i++) sizes += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return "(" + sizes + (shape.size() == 1 ? ",)" : ")");
}

std::string header(const char* dtype, const std::vector<int64_t>& shape) {
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}", dtype, shape_text(shape));
  // Magic, two bytes of length and text have a multiple of 64 bytes. The last is a newline.
  text.append(63 - (kMagic.size() + 2 + text.size()) % 64, ' ');
  text += '\n';
  const char length[2] = {static_cast<char>(text.size() & 255), static_cast<char>(text.size() >> 8)};
  return std::string(kMagic) + std::string(length, 2) + text;
}

void write(OutputFile& file, const char* dtype, const std::vector<int64_t>& shape, const void* values, size_t element) {
  file.write(header(dtype, shape));
  file.write(values, element_count(shape) * element);
}

// The text after "'key':" in the header's dictionary, without leading spaces; empty if there is no such key.
std::string_view entry(std::string_view text, std::string_view key) {
  const size_t at = text.find(fmt::format("'{}':", key));
  if (at == std::string_view::npos) return {};
  text.remove_prefix(at + key.size() + 3);
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  return text;
}

std::vector<int64_t> parse_shape(const std::string& path, std::string_view text) {
  const size_t end = text.find(')');
  if (text.empty() || text[0] != '(' || end == std::string_view::npos) fail("{}: damaged .npy header: no shape", path);
  const std::string_view whole = text.substr(0, end + 1);
  std::vector<int64_t> shape;
  const char *p = text.data() + 1, *last = text.data() + end;
  while (p != last) {
    int64_t size = 0;
    const auto [next, error] = std::from_chars(p, last, size);
    if (error != std::errc() || size < 0) fail("{}: damaged .npy header: shape {}", path, quote(whole));
    shape.push_back(size);
    p = next;
    while (p != last && (*p == ',' || *p == ' ')) p++;
  }
  return shape;
}

}  // namespace

void write_npy(OutputFile& file, const std::vector<int64_t>& shape, const float* values) {
  write(file, "<f4", shape, values, sizeof(float));
}
void write_npy(OutputFile& file, const std::vector<int64_t>& shape, const uint8_t* values) {
  write(file, "|u1", shape, values, 1);
}

NpyFloats read_npy(const std::string& path) {
  const std::vector<uint8_t> file = read_bytes(path);
  const std::string_view bytes(reinterpret_cast<const char*>(file.data()), file.size());
  if (bytes.substr(0, 6) != kMagic.substr(0, 6)) fail("{}: expected a .npy file, got something else", path);
  if (bytes.size() < kMagic.size() + 2) fail("{}: truncated .npy header", path);
  if (bytes.substr(0, 8) != kMagic) fail("{}: expected .npy version 1.0, got {}.{}", path, int{file[6]}, int{file[7]});
  const size_t length = file[8] + size_t{256} * file[9], start = kMagic.size() + 2 + length;
  if (bytes.size() < start) fail("{}: truncated .npy header", path);
  const std::string_view text = bytes.substr(kMagic.size() + 2, length);
  if (const auto dtype = entry(text, "descr"); !dtype.starts_with("'<f4'"))
    fail("{}: expected dtype '<f4' (float32), got {}", path, quote(dtype.substr(0, dtype.find(','))));
  if (!entry(text, "fortran_order").starts_with("False")) fail("{}: expected C order, got Fortran order", path);
  NpyFloats array;
  array.shape = parse_shape(path, entry(text, "shape"));
  // Compares by division: the product of the sizes in a damaged header can overflow.
  const size_t got = (bytes.size() - start) / sizeof(float);
  size_t want = 1;
  bool empty = false, too_large = false;
  for (int64_t d : array.shape) {
    if (d == 0) empty = true;
    if (d != 0 && want > got / static_cast<size_t>(d)) too_large = true;
    if (d != 0 && !too_large) want *= static_cast<size_t>(d);
  }
  if (empty) want = 0;
  if ((too_large && !empty) || bytes.size() - start != want * sizeof(float))
    fail("{}: expected the values of shape {}, got {} bytes", path, shape_text(array.shape), bytes.size() - start);
  array.values.resize(want);
  if (want > 0) std::memcpy(array.values.data(), bytes.data() + start, want * sizeof(float));
  return array;
}

}  // namespace mpanet
