// Contact sheets: a grid of thumbnails with coloured frames and short captions, written as PNG.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/pictures/image.h"

namespace mpanet {

using Rgb = std::array<uint8_t, 3>;
constexpr Rgb kSheetGreen{30, 160, 60}, kSheetRed{205, 45, 40}, kSheetGray{150, 150, 150}, kSheetInk{40, 40, 40};

class Sheet {
 public:
  // A sheet of `rows` x `columns` thumbnails of the given size in pixels. A row has a label of `label_width` pixels on
  // its left. Every thumbnail has `caption_lines` lines of text below it.
  Sheet(int rows, int columns, int thumb_height, int thumb_width, int label_width = 0, int caption_lines = 0);

  // One line above the grid.
  void title(std::string_view text);
  // The row's label. '\n' separates lines.
  void label(int row, std::string_view text);
  // Draws the resized picture into a cell, with a frame of the given colour. '\n' separates the lines of the caption.
  void set(int row, int column, const Image& picture, Rgb frame = kSheetGray, std::string_view caption = {});

  const Image& image() const { return image_; }

 private:
  int cell_x(int column) const;
  int cell_y(int row) const;
  void draw_lines(int x, int y, std::string_view text);

  int rows_, columns_, thumb_height_, thumb_width_, label_width_, caption_lines_;
  Image image_;
};

// Writes text in capital letters of 5 x 7 pixels, kTextAdvance apart, with the upper left corner at (x, y), and clips
// it at the picture's edge. Known are letters, digits, space and .,:;/%-+()=#_<>; other characters become '?'.
void draw_text(Image& image, int x, int y, std::string_view text, Rgb color);
constexpr int kTextAdvance = 6, kTextLine = 9;

}  // namespace mpanet
