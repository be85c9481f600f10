#include "data/pictures/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/base/error.h"

namespace mpanet {
namespace {

constexpr int kPrecisionBits = 32 - 8 - 2;  // 8 bits of the pixel, 2 of headroom
constexpr int32_t kHalf = 1 << (kPrecisionBits - 1);

// Red, green and blue of a pixel and red of the next one. The compiler maps four lanes, but not three, to a SIMD
// register.
typedef int32_t Ints4 __attribute__((vector_size(16)));

// Rounded coefficients may sum to slightly more than 1, hence the min().
inline uint8_t to_byte(int32_t sum) { return static_cast<uint8_t>(std::min(sum >> kPrecisionBits, 255)); }

// Applies the filter to a line of pixels. Reads one element beyond the last pixel of `in` and writes one beyond the
// last pixel of `sums`. kTaps is filter.taps, or 0 for a number that is not known at compile time.
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

// Applies the filter to a row of `in_stride` bytes. out: (output pixels of the filter, 3).
void resize_row(const ResizeFilter& filter, const uint8_t* __restrict in, size_t in_stride, int32_t* scratch,
                uint8_t* __restrict out) {
  const size_t out_stride = filter.first.size() * 3;
  int32_t *line = scratch, *sums = scratch + in_stride + 1;
  for (size_t i = 0; i < in_stride; i++) line[i] = in[i];
  line[in_stride] = 0;  // the fourth lane of the last pixel, which no output uses
  sum_line(filter, line, sums);
  for (size_t i = 0; i < out_stride; i++) out[i] = to_byte(sums[i]);
}

// The rows of a picture after the horizontal pass. A row is computed on demand and kept while it may be needed again,
// so memory does not depend on the picture's height.
class Rows {
 public:
  // `filter` is null when the width does not change.
  Rows(const Image& in, const ResizeFilter* filter, std::vector<uint8_t>& kept, std::vector<int32_t>& scratch)
      : in_(in),
        filter_(filter),
        in_stride_(static_cast<size_t>(in.width) * 3),
        stride_(filter ? filter->first.size() * 3 : in_stride_),
        kept_(kept),
        scratch_(scratch) {
    if (!filter) return;
    kept_.resize(kKept * stride_);
    scratch_.resize(in_stride_ + 1 + stride_ + 1);
  }

  // Rows first..first+count, contiguous. count <= kKept; `first` must not decrease from call to call.
  const uint8_t* at(int first, int count) {
    if (!filter_) return in_.pixels.data() + static_cast<size_t>(first) * in_stride_;
    if (first + count > end_) {
      const int again = std::max(end_ - first, 0);
      std::memmove(kept_.data(), kept_.data() + static_cast<size_t>(first - begin_) * stride_ * (again > 0),
                   static_cast<size_t>(again) * stride_);
      begin_ = first;
      end_ = first + again;
      while (end_ < std::min(begin_ + kKept, in_.height)) make(end_++);
    }
    return kept_.data() + static_cast<size_t>(first - begin_) * stride_;
  }

 private:
  static constexpr int kKept = 64;

  void make(int y) {
    resize_row(*filter_, in_.pixels.data() + static_cast<size_t>(y) * in_stride_, in_stride_, scratch_.data(),
               kept_.data() + static_cast<size_t>(y - begin_) * stride_);
  }

  const Image& in_;
  const ResizeFilter* filter_;
  size_t in_stride_, stride_;
  std::vector<uint8_t>& kept_;     // rows begin_..end_
  std::vector<int32_t>& scratch_;  // of resize_row()
  int begin_ = 0, end_ = 0;
};

// One output row of `bytes` bytes from kTaps contiguous input rows.
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

template <int kTaps>
void resize_height(const ResizeFilter& filter, Rows& rows, size_t bytes, uint8_t* out) {
  for (size_t y = 0; y < filter.first.size(); y++, out += bytes)
    blend_rows<kTaps>(rows.at(filter.first[y], kTaps), bytes, &filter.coefficients[y * kTaps], out);
}

// The vertical pass for many taps: adds every input row to the output rows that use it. Those are few, because a filter
// has many taps only when the picture shrinks.
void resize_height_much(const ResizeFilter& filter, Rows& rows, size_t bytes, std::vector<int32_t>& sums,
                        uint8_t* out) {
  constexpr size_t kOpen = 8;
  sums.resize(kOpen * bytes);
  const size_t height = filter.first.size(), taps = static_cast<size_t>(filter.taps);
  size_t done = 0, begun = 0;
  for (int in = filter.first[0]; done < height; in++) {
    const uint8_t* row = rows.at(in, 1);
    for (; begun < height && filter.first[begun] <= in; begun++)
      std::fill_n(&sums[begun % kOpen * bytes], bytes, kHalf);
    MPANET_CHECK(begun - done <= kOpen, "{} rows at once", begun - done);
    for (size_t y = done; y < begun; y++) {
      const int32_t coefficient = filter.coefficients[y * taps + static_cast<size_t>(in - filter.first[y])];
      int32_t* sum = &sums[y % kOpen * bytes];
      for (size_t i = 0; i < bytes; i++) sum[i] += row[i] * coefficient;
    }
    for (; done < begun && filter.first[done] + filter.taps - 1 == in; done++)
      for (size_t i = 0; i < bytes; i++) out[done * bytes + i] = to_byte(sums[done % kOpen * bytes + i]);
  }
}

void resize_height(const ResizeFilter& filter, Rows& rows, size_t bytes, std::vector<int32_t>& sums, uint8_t* out) {
  switch (filter.taps) {
    case 1:
      return resize_height<1>(filter, rows, bytes, out);
    case 2:
      return resize_height<2>(filter, rows, bytes, out);
    case 3:
      return resize_height<3>(filter, rows, bytes, out);
    case 4:
      return resize_height<4>(filter, rows, bytes, out);
    case 5:
      return resize_height<5>(filter, rows, bytes, out);
    default:
      return resize_height_much(filter, rows, bytes, sums, out);
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
      // Multiplies by the reciprocal like Pillow. A division may differ in the last bit.
      const double distance = std::abs((static_cast<double>(first[x]) + k - center + 0.5) * (1.0 / support));
      weight[k] = distance < 1 ? 1 - distance : 0;
      total += weight[k];
    }
    // Every output pixel has `taps` coefficients, some of them 0. At the right edge they begin earlier, within the row.
    const int begin = std::min(first[x], in - taps);
    int32_t* to = &coefficients[x * static_cast<size_t>(taps) + static_cast<size_t>(first[x] - begin)];
    for (size_t k = 0; k < count; k++)
      to[k] = static_cast<int32_t>(0.5 + (total != 0 ? weight[k] / total : weight[k]) * (1 << kPrecisionBits));
    first[x] = begin;
  }
}

const ResizeFilter& Resizer::filter(int in, int out) {
  const auto found = filters_.find({in, out});
  if (found != filters_.end()) return found->second;
  const ResizeFilter& made = filters_.emplace(std::pair(in, out), ResizeFilter(in, out)).first->second;
  filter_numbers_ += made.first.size() + made.coefficients.size();
  return made;
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
  // Person crops have a few hundred heights and widths. The limit is for data sets with more, or with huge pictures.
  constexpr size_t kMostNumbers = 1 << 20;
  if (filter_numbers_ > kMostNumbers) filters_.clear(), filter_numbers_ = 0;
  out.height = height;
  out.width = width;
  const size_t stride = static_cast<size_t>(width) * 3;
  out.pixels.resize(static_cast<size_t>(height) * stride);
  Rows rows(in, in.width == width ? nullptr : &filter(in.width, width), rows_, line_);
  if (in.height == height)
    for (int y = 0; y < height; y++) std::memcpy(&out.pixels[static_cast<size_t>(y) * stride], rows.at(y, 1), stride);
  else
    resize_height(filter(in.height, height), rows, stride, sums_, out.pixels.data());
}

Image resize_bilinear(const Image& in, int height, int width) {
  Image out;
  Resizer().resize(in, height, width, out);
  return out;
}

}  // namespace mpanet
