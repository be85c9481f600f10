#include "data/sets/npy.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/quote.h"
#include "core/base/real.h"

namespace mpanet {
namespace {

static_assert(std::endian::native == std::endian::little, "values are written as they lie in memory");

constexpr int64_t kPiece = int64_t{1} << 20;                // numbers that are converted at a time
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
std::string_view entry(const std::string& path, std::string_view text, std::string_view key) {
  const std::string wanted = fmt::format("'{}':", key);
  const size_t at = text.find(wanted);
  if (at == std::string_view::npos) return {};
  text.remove_prefix(at + wanted.size());
  if (text.find(wanted) != std::string_view::npos) fail("{}: damaged .npy header: {} stands twice", path, key);
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

// A float16 or float32 of this machine's byte order.
float number(const uint8_t* from, int item) {
  if (item == 2) {
    uint16_t bits = 0;
    std::memcpy(&bits, from, sizeof bits);
    return float16_value(bits);
  }
  float value = 0;
  std::memcpy(&value, from, sizeof value);
  return value;
}

}  // namespace

void write_npy(OutputFile& file, const std::vector<int64_t>& shape, const float* values) {
  write(file, "<f4", shape, values, sizeof(float));
}
void write_npy(OutputFile& file, const std::vector<int64_t>& shape, const uint8_t* values) {
  write(file, "|u1", shape, values, 1);
}

void write_npy_header(OutputFile& file, const std::vector<int64_t>& shape) { file.write(header("<f4", shape)); }

NpyFile::NpyFile(const std::string& path) : file_(path) {
  read_header();
  check_length();
}

void NpyFile::read_header() {
  const std::string& path = file_.path();
  constexpr uint64_t kLongest = uint64_t{1} << 20;
  uint8_t begin[12] = {};
  const size_t got = file_.read(begin, sizeof begin, 0);
  if (std::string_view(reinterpret_cast<const char*>(begin), std::min(got, size_t{6})) != kMagic.substr(0, 6))
    fail("{}: expected a .npy file, got something else", path);
  if (got < 10) fail("{}: truncated .npy header", path);
  const int major = begin[6], minor = begin[7];
  if (major < 1 || major > 3 || minor != 0)
    fail("{}: expected .npy version 1.0, 2.0 or 3.0, got {}.{}", path, major, minor);
  // The header's length has two bytes in version 1.0, else four.
  uint64_t length = begin[8] + uint64_t{256} * begin[9];
  if (major > 1) length += (uint64_t{begin[10]} << 16) + (uint64_t{begin[11]} << 24);
  const uint64_t header = major == 1 ? 10 : 12;
  start_ = header + length;
  if (file_.size() < start_) fail("{}: truncated .npy header", path);
  if (length > kLongest) fail("{}: expected a .npy header of at most {} bytes, got {}", path, kLongest, length);
  std::string text(length, '\0');
  file_.read(text.data(), length, header);
  read_dtype(entry(path, text, "descr"));
  const std::string_view fortran = entry(path, text, "fortran_order");
  if (!fortran.starts_with("True") && !fortran.starts_with("False"))
    fail("{}: damaged .npy header: fortran_order {}", path, quote(fortran.substr(0, fortran.find(','))));
  order_ = fortran.starts_with("True") ? Order::Fortran : Order::C;
  shape_ = parse_shape(path, entry(path, text, "shape"));
  if (order_ == Order::Fortran && shape_.size() > 2)
    fail("{}: expected at most two dimensions in Fortran order, got shape {}", path, shape_text(shape_));
}

void NpyFile::read_dtype(std::string_view dtype) {
  for (const std::string_view known : {"'<f2'", "'<f4'", "'<f8'", "'>f2'", "'>f4'", "'>f8'"})
    if (dtype.starts_with(known)) {
      item_ = known[3] - '0';
      swapped_ = known[1] == '>';
      return;
    }
  fail("{}: expected dtype float16, float32 or float64 ('<f4' and the like), got {}", file_.path(),
       quote(dtype.substr(0, dtype.find(','))));
}

void NpyFile::check_length() const {
  // Compares by division: the product of the sizes in a damaged header can overflow.
  const uint64_t bytes = file_.size() - start_, got = bytes / item_;
  uint64_t want = 1;
  bool empty = false, too_large = false;
  for (const int64_t d : shape_) {
    if (d == 0) empty = true;
    if (d != 0 && want > got / static_cast<uint64_t>(d)) too_large = true;
    if (d != 0 && !too_large) want *= static_cast<uint64_t>(d);
  }
  if (empty) want = 0;
  if ((too_large && !empty) || bytes != want * item_)
    fail("{}: expected the values of shape {}, got {} bytes", file_.path(), shape_text(shape_), bytes);
}

int64_t NpyFile::row_size() const {
  int64_t size = 1;
  for (size_t d = 1; d < shape_.size(); d++) size *= shape_[d];
  return size;
}

void NpyFile::read_run(int64_t first, int64_t count, std::vector<uint8_t>& raw) const {
  raw.resize(static_cast<size_t>(count) * item_);
  if (file_.read(raw.data(), raw.size(), start_ + static_cast<uint64_t>(first) * item_) != raw.size())
    fail("{}: the file became shorter while it was read", file_.path());
  if (swapped_)
    for (size_t at = 0; at < raw.size(); at += item_) std::reverse(raw.data() + at, raw.data() + at + item_);
}

void NpyFile::read_rows(int64_t first, int64_t count, float* out) const {
  const int64_t columns = row_size(), rows = shape_.empty() ? 1 : shape_[0];
  MPANET_CHECK(first >= 0 && count >= 0 && first + count <= rows, "rows {}..{} of {}", first, first + count, rows);
  // A run is contiguous in the file: in C order all the rows, in Fortran order a column of them.
  const bool c_order = order_ == Order::C;
  const int64_t runs = c_order ? 1 : columns, length = c_order ? count * columns : count, step = c_order ? 1 : columns;
  std::vector<uint8_t> raw;
  Lost lost;
  for (int64_t run = 0; run < runs; run++)
    for (int64_t begin = 0; begin < length; begin += kPiece) {
      const int64_t size = std::min(kPiece, length - begin);
      read_run((c_order ? first * columns : run * rows + first) + begin, size, raw);
      const uint8_t* from = raw.data();
      float* to = out + run + begin * step;
      if (item_ < 8) {
        for (int64_t i = 0; i < size; i++, from += item_, to += step) *to = number(from, item_);
        continue;
      }
      for (int64_t i = begin; i < begin + size; i++, from += item_, to += step)
        *to = c_order ? rounded(from, first + i / columns, i % columns, lost) : rounded(from, first + i, run, lost);
    }
  check_lost(lost, first, out);
}

float NpyFile::rounded(const uint8_t* from, int64_t row, int64_t column, Lost& lost) const {
  double value = 0;
  std::memcpy(&value, from, sizeof value);
  const auto narrow = static_cast<float>(value);
  if (std::isfinite(value) && !std::isfinite(narrow))
    fail("{}: row {}, column {} is {}, expected numbers in float32's range", path(), row, column, value);
  if (value != 0 && std::abs(narrow) < std::numeric_limits<float>::min()) lost.emplace(row, std::pair(column, value));
  return narrow;
}

void NpyFile::check_lost(const Lost& lost, int64_t first, const float* out) const {
  for (const auto& [row, number] : lost) {
    const float* begin = out + (row - first) * row_size();
    if (std::none_of(begin, begin + row_size(),
                     [](float value) { return std::abs(value) >= std::numeric_limits<float>::min(); }))
      fail("{}: row {}, column {} is {}, and no number of the row is in float32's range (from {} on)", path(), row,
           number.first, number.second, std::numeric_limits<float>::min());
  }
}

NpyFloats read_npy(const std::string& path) {
  const NpyFile file(path);
  NpyFloats array;
  array.shape = file.shape();
  array.values.resize(element_count(array.shape));
  if (!array.values.empty()) file.read_rows(0, array.shape.empty() ? 1 : array.shape[0], array.values.data());
  return array;
}

}  // namespace mpanet
