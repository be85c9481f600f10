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
  // A sheet of `rows` x `columns` thumbnails of the given size in pixels; every row has `label_width` pixels for a
  // label on its left, every thumbnail a line for a caption below it if `captions`.
  Sheet(int rows, int columns, int thumb_height, int thumb_width, int label_width = 0, bool captions = false);

  // One line above the grid.
  void title(std::string_view text);
  // Several lines are separated by '\n'.
  void label(int row, std::string_view text);
  // Resizes the picture into its place, with a frame of the given colour.
  void set(int row, int column, const Image& picture, Rgb frame = kSheetGray, std::string_view caption = {});

  const Image& image() const { return image_; }

 private:
  int cell_x(int column) const;
  int cell_y(int row) const;

  int rows_, columns_, thumb_height_, thumb_width_, label_width_;
  bool captions_;
  Image image_;
};

// Writes text into a picture in capital letters of 5 x 7 pixels (6 apart), upper left corner at (x, y); what does not
// fit is cut. Letters, digits and .,:;/%-+()=#_<> and space; others become '?'.
void draw_text(Image& image, int x, int y, std::string_view text, Rgb color);
constexpr int kTextAdvance = 6, kTextLine = 9;

}  // namespace mpanet
