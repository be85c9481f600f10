#include "data/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"

namespace mpanet {
namespace {

constexpr int kPrecisionBits = 32 - 8 - 2;  // 8 bits of the pixel, 2 of headroom
constexpr int32_t kHalf = 1 << (kPrecisionBits - 1);

// Four 8-bit or 32-bit lanes: red, green, blue and whatever byte follows. The compiler maps them to what the machine
// has.
typedef uint8_t Bytes4 __attribute__((vector_size(4)));
typedef int32_t Ints4 __attribute__((vector_size(16)));

// The coefficients' rounding may carry a sum just above 255.
inline uint8_t to_byte(int32_t sum) { return static_cast<uint8_t>(std::min(sum >> kPrecisionBits, 255)); }

// One output line, (filter's out, 3), from `in`. Reads one byte past the last pixel of `in` and writes one past the
// last of `out`: four lanes are simpler than three.
void resize_line(const ResizeFilter& filter, const uint8_t* in, uint8_t* out) {
  const int width = static_cast<int>(filter.first.size());
  const int32_t* coefficient = filter.coefficients.data();
  for (int x = 0; x < width; x++, coefficient += filter.taps) {
    const uint8_t* pixel = in + static_cast<size_t>(filter.first[x]) * 3;
    Ints4 sum = {kHalf, kHalf, kHalf, kHalf};
    for (int k = 0; k < filter.count[x]; k++, pixel += 3) {
      Bytes4 bytes;
      std::memcpy(&bytes, pixel, 4);
      sum += __builtin_convertvector(bytes, Ints4) * coefficient[k];
    }
    sum >>= kPrecisionBits;
    sum = sum > 255 ? Ints4{255, 255, 255, 255} : sum;
    const Bytes4 bytes = __builtin_convertvector(sum, Bytes4);
    std::memcpy(out + static_cast<size_t>(x) * 3, &bytes, 4);
  }
}

// Every row of `in` through the filter into `out` (in.height, filter's out, 3).
void resize_width(const ResizeFilter& filter, const Image& in, uint8_t* out) {
  const size_t in_stride = static_cast<size_t>(in.width) * 3, out_stride = filter.first.size() * 3;
  const uint8_t* row = in.pixels.data();
  for (int y = 0; y + 1 < in.height; y++, row += in_stride, out += out_stride) resize_line(filter, row, out);
  // The last line goes through copies that have the extra byte.
  std::vector<uint8_t> last_in(row, row + in_stride), last_out(out_stride + 1);
  last_in.push_back(0);
  resize_line(filter, last_in.data(), last_out.data());
  std::memcpy(out, last_out.data(), out_stride);
}

// One output row of `bytes` bytes from `count` input rows that lie one after another. Fixed counts for the usual ones.
template <int kCount>
void blend_rows(const uint8_t* in, size_t bytes, const int32_t* coefficients, uint8_t* out) {
  for (size_t i = 0; i < bytes; i++) {
    int32_t sum = kHalf;
    for (int k = 0; k < kCount; k++) sum += in[static_cast<size_t>(k) * bytes + i] * coefficients[k];
    out[i] = to_byte(sum);
  }
}

void blend_rows(const uint8_t* in, size_t bytes, const int32_t* coefficients, int count, uint8_t* out) {
  constexpr size_t kBlock = 256;
  int32_t sum[kBlock];
  for (size_t start = 0; start < bytes; start += kBlock) {
    const size_t n = std::min(kBlock, bytes - start);
    for (size_t i = 0; i < n; i++) sum[i] = kHalf;
    for (int k = 0; k < count; k++) {
      const uint8_t* row = in + static_cast<size_t>(k) * bytes + start;
      for (size_t i = 0; i < n; i++) sum[i] += row[i] * coefficients[k];
    }
    for (size_t i = 0; i < n; i++) out[start + i] = to_byte(sum[i]);
  }
}

// Rows of `bytes` bytes.
void resize_height(const ResizeFilter& filter, const uint8_t* in, size_t bytes, uint8_t* out) {
  const int height = static_cast<int>(filter.first.size());
  for (int y = 0; y < height; y++, out += bytes) {
    const uint8_t* rows = in + static_cast<size_t>(filter.first[y]) * bytes;
    const int32_t* coefficients = &filter.coefficients[static_cast<size_t>(y) * static_cast<size_t>(filter.taps)];
    switch (filter.count[y]) {
      case 1:
        blend_rows<1>(rows, bytes, coefficients, out);
        break;
      case 2:
        blend_rows<2>(rows, bytes, coefficients, out);
        break;
      case 3:
        blend_rows<3>(rows, bytes, coefficients, out);
        break;
      case 4:
        blend_rows<4>(rows, bytes, coefficients, out);
        break;
      default:
        blend_rows(rows, bytes, coefficients, filter.count[y], out);
    }
  }
}

}  // namespace

ResizeFilter::ResizeFilter(int in, int out) : first(static_cast<size_t>(out)), count(static_cast<size_t>(out)) {
  const double scale = static_cast<double>(in) / out, support = std::max(scale, 1.0);  // the triangle's half width
  taps = static_cast<int>(std::ceil(support)) * 2 + 1;
  coefficients.resize(static_cast<size_t>(out) * static_cast<size_t>(taps));
  std::vector<double> weight(static_cast<size_t>(taps));
  for (size_t x = 0; x < first.size(); x++) {
    const double center = (static_cast<double>(x) + 0.5) * scale;
    first[x] = std::max(static_cast<int>(center - support + 0.5), 0);
    count[x] = std::min(static_cast<int>(center + support + 0.5), in) - first[x];
    double total = 0;
    for (int k = 0; k < count[x]; k++) {
      // Pillow multiplies by the reciprocal; dividing would differ in the last bit.
      const double distance = std::abs((k + first[x] - center + 0.5) * (1.0 / support));
      weight[static_cast<size_t>(k)] = distance < 1 ? 1 - distance : 0;
      total += weight[static_cast<size_t>(k)];
    }
    for (int k = 0; k < count[x]; k++) {
      const double share = total != 0 ? weight[static_cast<size_t>(k)] / total : weight[static_cast<size_t>(k)];
      coefficients[x * static_cast<size_t>(taps) + static_cast<size_t>(k)] =
          static_cast<int32_t>(0.5 + share * (1 << kPrecisionBits));
    }
  }
}

const ResizeFilter& Resizer::filter(int in, int out) {
  const auto found = filters_.find({in, out});
  return found != filters_.end() ? found->second
                                 : filters_.emplace(std::pair(in, out), ResizeFilter(in, out)).first->second;
}

void Resizer::resize(const Image& in, int height, int width, Image& out) {
  CHECK(height > 0 && width > 0 && &in != &out, "height {}, width {}", height, width);
  CHECK(in.height > 0 && in.width > 0 &&
            in.pixels.size() == static_cast<size_t>(in.height) * static_cast<size_t>(in.width) * 3,
        "height {}, width {}, {} bytes", in.height, in.width, in.pixels.size());
  if (in.height == height && in.width == width) {
    out = in;
    return;
  }
  // Crops come in a few hundred heights and widths; someone's data may have more.
  constexpr size_t kMostFilters = 2048;
  if (filters_.size() >= kMostFilters) filters_.clear();
  out.height = height;
  out.width = width;
  const size_t stride = static_cast<size_t>(width) * 3;
  out.pixels.resize(static_cast<size_t>(height) * stride);
  if (in.height == height) {
    resize_width(filter(in.width, width), in, out.pixels.data());
    return;
  }
  const uint8_t* rows = in.pixels.data();
  if (in.width != width) {
    rows_.resize(static_cast<size_t>(in.height) * stride);
    resize_width(filter(in.width, width), in, rows_.data());
    rows = rows_.data();
  }
  resize_height(filter(in.height, height), rows, stride, out.pixels.data());
}

Image resize_bilinear(const Image& in, int height, int width) {
  Image out;
  Resizer().resize(in, height, width, out);
  return out;
}

}  // namespace mpanet
