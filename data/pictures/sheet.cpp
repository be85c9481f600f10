#include "data/pictures/sheet.h"

#include "core/base/error.h"
#include "data/pictures/resize.h"

namespace mpanet {
namespace {

constexpr int kGap = 4, kFrame = 3, kTitle = 14;
constexpr int kGlyphWidth = 5, kGlyphHeight = 7;

struct Glyph {
  char letter;
  std::array<uint8_t, kGlyphHeight> rows;  // top to bottom; bit 4 is the leftmost pixel
};
constexpr Glyph kFont[] = {
    {'A', {14, 17, 17, 31, 17, 17, 17}}, {'B', {30, 17, 17, 30, 17, 17, 30}}, {'C', {14, 17, 16, 16, 16, 17, 14}},
    {'D', {30, 17, 17, 17, 17, 17, 30}}, {'E', {31, 16, 16, 30, 16, 16, 31}}, {'F', {31, 16, 16, 30, 16, 16, 16}},
    {'G', {14, 17, 16, 23, 17, 17, 15}}, {'H', {17, 17, 17, 31, 17, 17, 17}}, {'I', {14, 4, 4, 4, 4, 4, 14}},
    {'J', {7, 2, 2, 2, 2, 18, 12}},      {'K', {17, 18, 20, 24, 20, 18, 17}}, {'L', {16, 16, 16, 16, 16, 16, 31}},
    {'M', {17, 27, 21, 21, 17, 17, 17}}, {'N', {17, 25, 21, 19, 17, 17, 17}}, {'O', {14, 17, 17, 17, 17, 17, 14}},
    {'P', {30, 17, 17, 30, 16, 16, 16}}, {'Q', {14, 17, 17, 17, 21, 18, 13}}, {'R', {30, 17, 17, 30, 20, 18, 17}},
    {'S', {15, 16, 16, 14, 1, 1, 30}},   {'T', {31, 4, 4, 4, 4, 4, 4}},       {'U', {17, 17, 17, 17, 17, 17, 14}},
    {'V', {17, 17, 17, 17, 17, 10, 4}},  {'W', {17, 17, 17, 21, 21, 27, 17}}, {'X', {17, 17, 10, 4, 10, 17, 17}},
    {'Y', {17, 17, 10, 4, 4, 4, 4}},     {'Z', {31, 1, 2, 4, 8, 16, 31}},     {'0', {14, 17, 19, 21, 25, 17, 14}},
    {'1', {4, 12, 4, 4, 4, 4, 14}},      {'2', {14, 17, 1, 6, 8, 16, 31}},    {'3', {30, 1, 1, 14, 1, 1, 30}},
    {'4', {2, 6, 10, 18, 31, 2, 2}},     {'5', {31, 16, 30, 1, 1, 17, 14}},   {'6', {6, 8, 16, 30, 17, 17, 14}},
    {'7', {31, 1, 2, 4, 8, 8, 8}},       {'8', {14, 17, 17, 14, 17, 17, 14}}, {'9', {14, 17, 17, 15, 1, 2, 12}},
    {'.', {0, 0, 0, 0, 0, 12, 12}},      {',', {0, 0, 0, 0, 12, 4, 8}},       {':', {0, 12, 12, 0, 12, 12, 0}},
    {';', {0, 12, 12, 0, 12, 4, 8}},     {'/', {1, 1, 2, 4, 8, 16, 16}},      {'%', {24, 25, 2, 4, 8, 19, 3}},
    {'-', {0, 0, 0, 31, 0, 0, 0}},       {'+', {0, 4, 4, 31, 4, 4, 0}},       {'(', {2, 4, 8, 8, 8, 4, 2}},
    {')', {8, 4, 2, 2, 2, 4, 8}},        {'=', {0, 0, 31, 0, 31, 0, 0}},      {'#', {10, 10, 31, 10, 31, 10, 10}},
    {'_', {0, 0, 0, 0, 0, 0, 31}},       {'<', {2, 4, 8, 16, 8, 4, 2}},       {'>', {8, 4, 2, 1, 2, 4, 8}},
    {'?', {14, 17, 1, 2, 4, 0, 4}},      {' ', {0, 0, 0, 0, 0, 0, 0}},
};

const Glyph& glyph(char letter) {
  if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
  const Glyph* unknown = nullptr;
  for (const Glyph& g : kFont) {
    if (g.letter == letter) return g;
    if (g.letter == '?') unknown = &g;
  }
  return *unknown;
}

void put(Image& image, int x, int y, Rgb color) {
  if (x < 0 || y < 0 || x >= image.width || y >= image.height) return;
  uint8_t* pixel = image.pixels.data() + (static_cast<size_t>(y) * image.width + x) * 3;
  for (int c = 0; c < 3; c++) pixel[c] = color[c];
}

}  // namespace

void draw_text(Image& image, int x, int y, std::string_view text, Rgb color) {
  for (char letter : text) {
    const Glyph& g = glyph(letter);
    for (int row = 0; row < kGlyphHeight; row++)
      for (int column = 0; column < kGlyphWidth; column++)
        if (g.rows[row] >> (kGlyphWidth - 1 - column) & 1) put(image, x + column, y + row, color);
    x += kTextAdvance;
  }
}

Sheet::Sheet(int rows, int columns, int thumb_height, int thumb_width, int label_width, int caption_lines)
    : rows_(rows),
      columns_(columns),
      thumb_height_(thumb_height),
      thumb_width_(thumb_width),
      label_width_(label_width),
      caption_lines_(caption_lines) {
  MPANET_CHECK(rows > 0 && columns > 0 && thumb_height > 0 && thumb_width > 0, "{} x {} thumbnails of {} x {}", rows,
               columns, thumb_height, thumb_width);
  image_.height = cell_y(rows) + kGap;
  image_.width = cell_x(columns) + kGap;
  image_.pixels.assign(static_cast<size_t>(image_.height) * image_.width * 3, 255);
}

int Sheet::cell_x(int column) const { return kGap + label_width_ + column * (thumb_width_ + 2 * kFrame + kGap); }
int Sheet::cell_y(int row) const {
  return kGap + kTitle + row * (thumb_height_ + 2 * kFrame + kGap + caption_lines_ * kTextLine);
}

void Sheet::title(std::string_view text) { draw_text(image_, kGap, kGap, text, kSheetInk); }

void Sheet::label(int row, std::string_view text) {
  MPANET_CHECK(row >= 0 && row < rows_, "row {} of {}", row, rows_);
  draw_lines(kGap, cell_y(row) + kFrame, text);
}

void Sheet::draw_lines(int x, int y, std::string_view text) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    draw_text(image_, x, y, text.substr(0, end), kSheetInk);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    y += kTextLine;
  }
}

void Sheet::set(int row, int column, const Image& picture, Rgb frame, std::string_view caption) {
  MPANET_CHECK(row >= 0 && row < rows_ && column >= 0 && column < columns_, "cell ({}, {}) of ({}, {})", row, column,
               rows_, columns_);
  const Image thumb = resize_bilinear(picture, thumb_height_, thumb_width_);
  const int x0 = cell_x(column), y0 = cell_y(row);
  for (int y = 0; y < thumb_height_ + 2 * kFrame; y++)
    for (int x = 0; x < thumb_width_ + 2 * kFrame; x++) {
      const int tx = x - kFrame, ty = y - kFrame;
      Rgb color = frame;
      if (tx >= 0 && ty >= 0 && tx < thumb_width_ && ty < thumb_height_) {
        const uint8_t* pixel = thumb.pixels.data() + (static_cast<size_t>(ty) * thumb_width_ + tx) * 3;
        color = {pixel[0], pixel[1], pixel[2]};
      }
      put(image_, x0 + x, y0 + y, color);
    }
  if (caption_lines_ > 0) draw_lines(x0, y0 + thumb_height_ + 2 * kFrame + 2, caption);
}

}  // namespace mpanet
