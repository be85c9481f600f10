// The network's input from bytes: flip, pad, crop, normalise, erase. Values come from a table, so that every backend
// gives the same bits.
#include "kernels/cpu/convert.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {
namespace {

// Sets output columns first .. end - 1 of a row to one code's values.
void fill(const storage* values, int code, int first, int end, storage* row) {
  for (int x = first; x < end; x++)
    for (int c = 0; c < 3; c++) row[3 * x + c] = values[c * kPictureCodes + code];
}

void augment_row(const uint8_t* picture, const PictureCut& cut, const storage* values, int y, int h, int w,
                 storage* row) {
  const int source = y + cut.top;
  const bool inside = source >= 0 && source < h;
  // Columns first .. end - 1 show the picture, column x its column x + left.
  const int first = inside ? std::clamp(-cut.left, 0, w) : w, end = inside ? std::clamp(w - cut.left, first, w) : w;
  fill(values, kPaddingCode, 0, first, row);
  const uint8_t* from = picture + (int64_t{inside ? source : 0} * w) * 3;
  for (int x = first; x < end; x++) {
    const uint8_t* pixel = from + 3 * (cut.flip ? w - 1 - (x + cut.left) : x + cut.left);
    for (int c = 0; c < 3; c++) row[3 * x + c] = values[c * kPictureCodes + pixel[c]];
  }
  fill(values, kPaddingCode, end, w, row);
  if (y >= cut.erase_top && y < cut.erase_top + cut.erase_height)
    fill(values, kErasedCode, cut.erase_left, cut.erase_left + cut.erase_width, row);
}

}  // namespace

void augment_pictures(Stream, const uint8_t* pixels, const PictureCut* cuts, const storage* values, int n, int h, int w,
                      storage* y) {
  const int64_t row = int64_t{3} * w, picture = h * row;
#pragma omp parallel for schedule(static) if (parallel : n * picture > kSerialCount)
  for (int64_t i = 0; i < int64_t{n} * h; i++) {
    const PictureCut& cut = cuts[i / h];
    augment_row(pixels + cut.picture * picture, cut, values, static_cast<int>(i % h), h, w, y + i * row);
  }
}

}  // namespace mpanet::PRECISION::cpu
