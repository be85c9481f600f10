// BMP through stb_image. stb takes missing bytes for zeros and reads palette entries that were never set, so the
// structure is checked here first (header layout: BITMAPINFOHEADER and its longer successors).
#include <algorithm>
#include <cstdlib>

#include "core/base/error.h"
#include "data/pictures/codecs.h"

namespace mpanet {
namespace {

uint32_t little_endian(const uint8_t* p, int bytes) {
  uint32_t value = 0;
  for (int i = bytes - 1; i >= 0; i--) value = value << 8 | p[i];
  return value;
}

// How long the palette must be: one more than the largest byte; below 8 bits every index.
uint32_t colours_used(const uint8_t* pixels, size_t height, size_t stride, int64_t width, uint32_t bits) {
  if (bits < 8) return 1u << bits;
  uint8_t largest = 0;
  for (size_t y = 0; y < height; y++)
    largest = std::max(largest, *std::max_element(pixels + y * stride, pixels + y * stride + width));
  return largest + 1u;
}

}  // namespace

void decode_bmp(const std::string& path, const std::vector<uint8_t>& file, Image& out) {
  if (file.size() < 54) fail("{}: damaged BMP: it ends within its header", path);
  const uint32_t offset = little_endian(&file[10], 4), header = little_endian(&file[14], 4);
  if (header != 40 && header != 56 && header != 108 && header != 124)
    fail("{}: expected a BMP header of 40, 56, 108 or 124 bytes, got {}", path, header);
  const int64_t width = static_cast<int32_t>(little_endian(&file[18], 4));
  const int64_t height = std::abs(int64_t{static_cast<int32_t>(little_endian(&file[22], 4))});
  check_size(path, height, width);
  const uint32_t bits = little_endian(&file[28], 2), compression = little_endian(&file[30], 4);
  if (bits != 1 && bits != 4 && bits != 8 && bits != 24 && bits != 32)
    fail("{}: expected a BMP of 1, 4, 8, 24 or 32 bits a pixel, got {}", path, bits);
  if (compression != 0 && !(compression == 3 && bits == 32 && header != 56))
    fail("{}: expected an uncompressed BMP, got compression {}", path, compression);
  // Between the headers and the pixels lie the palette, or the masks of compression 3 (part of the longer headers).
  if (offset < 14 + header + (compression == 3 && header == 40 ? 12 : 0) || offset > file.size())
    fail("{}: damaged BMP: its pixels start at byte {}", path, offset);
  if (compression == 3 && !(little_endian(&file[54], 4) == 0xff0000 && little_endian(&file[58], 4) == 0xff00 &&
                            little_endian(&file[62], 4) == 0xff))
    fail("{}: expected a BMP of blue, green, red bytes, got other masks", path);
  const size_t stride = (static_cast<size_t>(width) * bits + 31) / 32 * 4;
  if ((file.size() - offset) / stride < static_cast<size_t>(height))
    fail("{}: damaged BMP: expected {} bytes of pixels, got {}", path, stride * static_cast<size_t>(height),
         file.size() - offset);
  const uint32_t palette = std::min<uint32_t>((offset - 14 - header) / 4, 256);
  if (bits <= 8 && palette < colours_used(&file[offset], static_cast<size_t>(height), stride, width, bits))
    fail("{}: damaged BMP: its pixels use more colours than its palette has ({})", path, palette);
  decode_with_stb(path, "BMP", file, out);
}

}  // namespace mpanet
