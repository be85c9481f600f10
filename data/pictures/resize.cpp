#include "data/pictures/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/base/error.h"

namespace mpanet {
namespace {

constexpr int kPrecisionBits = 32 - 8 - 2;  // 8 bits of the pixel, 2 of headroom
constexpr int32_t kHalf = 1 << (kPrecisionBits - 1);

// Red, green, blue and whatever comes next: four lanes are simpler than three, and the compiler maps them to what the
// machine has.
typedef int32_t Ints4 __attribute__((vector_size(16)));

// The coefficients' rounding may carry a sum just above 255.
inline uint8_t to_byte(int32_t sum) { return static_cast<uint8_t>(std::min(sum >> kPrecisionBits, 255)); }

// The filter's sums of a line of pixels. Reads one number past the last pixel of `in` and writes one past the last of
// `sums`. kTaps is the filter's, or 0 for any number.
template <int kTaps>
void sum_line(const ResizeFilter& filter, const int32_t* in, int32_t* sums) {
  const size_t width = filter.first.size();
  const int taps = kTaps > 0 ? kTaps : filter.taps;
  const int32_t *first = filter.first.data(), *coefficient = filter.coefficients.data();
  for (size_t x = 0; x < width; x++, coefficient += taps) {
    const int32_t* pixel = in + static_cast<size_t>(first[x]) * 3;
    Ints4 sum = {kHalf, kHalf, kHalf, kHalf};
    for (int k = 0; k < taps; k++) {
      Ints4 lanes;
      std::memcpy(&lanes, pixel + k * 3, sizeof lanes);
      sum += lanes * coefficient[k];
    }
    std::memcpy(sums + x * 3, &sum, sizeof sum);
  }
}

void sum_line(const ResizeFilter& filter, const int32_t* in, int32_t* sums) {
  switch (filter.taps) {
    case 2:
      return sum_line<2>(filter, in, sums);
    case 3:
      return sum_line<3>(filter, in, sums);
    case 4:
      return sum_line<4>(filter, in, sums);
    case 5:
      return sum_line<5>(filter, in, sums);
    default:
      return sum_line<0>(filter, in, sums);
  }
}

// Every row of `in` through the filter into `out` (in.height, filter's out, 3).
void resize_width(const ResizeFilter& filter, const Image& in, std::vector<int32_t>& scratch, uint8_t* out) {
  const size_t in_stride = static_cast<size_t>(in.width) * 3, out_stride = filter.first.size() * 3;
  scratch.resize(in_stride + 1 + out_stride + 1);
  int32_t *line = scratch.data(), *sums = scratch.data() + in_stride + 1;
  line[in_stride] = 0;  // the last pixel's fourth lane, which reaches no output
  const uint8_t* row = in.pixels.data();
  for (int y = 0; y < in.height; y++, row += in_stride, out += out_stride) {
    for (size_t i = 0; i < in_stride; i++) line[i] = row[i];
    sum_line(filter, line, sums);
    for (size_t i = 0; i < out_stride; i++) out[i] = to_byte(sums[i]);
  }
}

// One output row of `bytes` bytes from `taps` input rows that lie one after another; fixed numbers for the usual ones.
template <int kTaps>
void blend_rows(const uint8_t* __restrict in, size_t bytes, const int32_t* coefficients, uint8_t* __restrict out) {
  int32_t fixed[kTaps];
  for (int k = 0; k < kTaps; k++) fixed[k] = coefficients[k];
  for (size_t i = 0; i < bytes; i++) {
    int32_t sum = kHalf;
    for (int k = 0; k < kTaps; k++) sum += in[static_cast<size_t>(k) * bytes + i] * fixed[k];
    out[i] = to_byte(sum);
  }
}

void blend_rows(const uint8_t* in, size_t bytes, const int32_t* coefficients, int taps, uint8_t* out) {
  constexpr size_t kBlock = 256;
  int32_t sum[kBlock];
  for (size_t start = 0; start < bytes; start += kBlock) {
    const size_t n = std::min(kBlock, bytes - start);
    for (size_t i = 0; i < n; i++) sum[i] = kHalf;
    for (int k = 0; k < taps; k++) {
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
    switch (filter.taps) {
      case 2:
        blend_rows<2>(rows, bytes, coefficients, out);
        break;
      case 3:
        blend_rows<3>(rows, bytes, coefficients, out);
        break;
      case 4:
        blend_rows<4>(rows, bytes, coefficients, out);
        break;
      case 5:
        blend_rows<5>(rows, bytes, coefficients, out);
        break;
      default:
        blend_rows(rows, bytes, coefficients, filter.taps, out);
    }
  }
}

}  // namespace

ResizeFilter::ResizeFilter(int in, int out) : first(static_cast<size_t>(out)) {
  const double scale = static_cast<double>(in) / out, support = std::max(scale, 1.0);  // the triangle's half width
  std::vector<int> last(first.size());
  for (size_t x = 0; x < first.size(); x++) {
    const double center = (static_cast<double>(x) + 0.5) * scale;
    first[x] = std::max(static_cast<int>(center - support + 0.5), 0);
    last[x] = std::min(static_cast<int>(center + support + 0.5), in);
    taps = std::max(taps, last[x] - first[x]);
  }
  coefficients.resize(first.size() * static_cast<size_t>(taps));
  std::vector<double> weight(static_cast<size_t>(taps));
  for (size_t x = 0; x < first.size(); x++) {
    const double center = (static_cast<double>(x) + 0.5) * scale;
    double total = 0;
    const auto count = static_cast<size_t>(last[x] - first[x]);
    for (size_t k = 0; k < count; k++) {
      // By the reciprocal, as Pillow has it: dividing may differ in the last bit.
      const double distance = std::abs((static_cast<double>(first[x]) + k - center + 0.5) * (1.0 / support));
      weight[k] = distance < 1 ? 1 - distance : 0;
      total += weight[k];
    }
    // Every pixel gets the same number of taps, zero where its own are fewer: at the far edge they begin earlier.
    const int begin = std::min(first[x], in - taps);
    int32_t* place = &coefficients[x * static_cast<size_t>(taps) + static_cast<size_t>(first[x] - begin)];
    for (size_t k = 0; k < count; k++)
      place[k] = static_cast<int32_t>(0.5 + (total != 0 ? weight[k] / total : weight[k]) * (1 << kPrecisionBits));
    first[x] = begin;
  }
}

const ResizeFilter& Resizer::filter(int in, int out) {
  const auto found = filters_.find({in, out});
  return found != filters_.end() ? found->second
                                 : filters_.emplace(std::pair(in, out), ResizeFilter(in, out)).first->second;
}

void Resizer::resize(const Image& in, int height, int width, Image& out) {
  MPANET_CHECK(height > 0 && width > 0 && &in != &out, "height {}, width {}", height, width);
  MPANET_CHECK(in.height > 0 && in.width > 0 &&
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
    resize_width(filter(in.width, width), in, line_, out.pixels.data());
    return;
  }
  const uint8_t* rows = in.pixels.data();
  if (in.width != width) {
    rows_.resize(static_cast<size_t>(in.height) * stride);
    resize_width(filter(in.width, width), in, line_, rows_.data());
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
