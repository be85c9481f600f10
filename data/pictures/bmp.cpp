// BMP through stb_image. stb reads missing bytes as zeros and uses palette entries that the file does not have, so the
// structure is checked here first. Header layout: BITMAPINFOHEADER and its longer successors.
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include "core/base/error.h"
#include "data/pictures/codecs.h"

namespace mpanet {
namespace {

constexpr size_t kHeaderBytes = 54;
constexpr uint32_t kLargestOffset = 1 << 20;  // bytes before the pixels; the longest header with a palette has 1162

uint32_t little_endian(const uint8_t* p, int bytes) {
  uint32_t value = 0;
  for (int i = bytes - 1; i >= 0; i--) value = value << 8 | p[i];
  return value;
}

// The number of palette entries that a file needs: the largest pixel + 1; all 2^bits below 8 bits.
uint32_t colours_used(const uint8_t* pixels, size_t height, size_t stride, int64_t width, uint32_t bits) {
  if (bits < 8) return 1u << bits;
  uint8_t largest = 0;
  for (size_t y = 0; y < height; y++)
    largest = std::max(largest, *std::max_element(pixels + y * stride, pixels + y * stride + width));
  return largest + 1u;
}

// Appends the next `count` bytes of the file, fewer at its end.
void read_more(PictureFile& file, size_t count, std::vector<uint8_t>& bytes) {
  const size_t before = bytes.size();
  bytes.resize(before + count);
  bytes.resize(before + file.read(bytes.data() + before, count));
  file.check();
}

}  // namespace

void decode_bmp(PictureFile& file, Image& out) {
  const std::string& path = file.path();
  std::vector<uint8_t> bytes;
  read_more(file, kHeaderBytes, bytes);
  if (bytes.size() < kHeaderBytes) fail("{}: damaged BMP: it ends within its header", path);
  const uint32_t offset = little_endian(&bytes[10], 4), header = little_endian(&bytes[14], 4);
  if (header != 40 && header != 56 && header != 108 && header != 124)
    fail("{}: expected a BMP header of 40, 56, 108 or 124 bytes, got {}", path, header);
  const int64_t width = static_cast<int32_t>(little_endian(&bytes[18], 4));
  const int64_t height = std::abs(int64_t{static_cast<int32_t>(little_endian(&bytes[22], 4))});
  check_size(path, height, width);
  const uint32_t bits = little_endian(&bytes[28], 2), compression = little_endian(&bytes[30], 4);
  if (bits != 1 && bits != 4 && bits != 8 && bits != 24 && bits != 32)
    fail("{}: expected a BMP of 1, 4, 8, 24 or 32 bits a pixel, got {}", path, bits);
  if (compression != 0 && !(compression == 3 && bits == 32 && header != 56))
    fail("{}: expected an uncompressed BMP, got compression {}", path, compression);
  // The palette or the masks of compression 3 lie between header and pixels. Longer headers contain the masks.
  if (offset < 14 + header + (compression == 3 && header == 40 ? 12 : 0) || offset > file.size() ||
      offset > kLargestOffset)
    fail("{}: damaged BMP: its pixels start at byte {}", path, offset);
  const size_t stride = (static_cast<size_t>(width) * bits + 31) / 32 * 4;
  if ((file.size() - offset) / stride < static_cast<size_t>(height))
    fail("{}: damaged BMP: expected {} bytes of pixels, got {}", path, stride * static_cast<size_t>(height),
         file.size() - offset);
  const size_t needed = offset + stride * static_cast<size_t>(height);
  read_more(file, needed - kHeaderBytes, bytes);
  if (bytes.size() < needed)
    fail("{}: expected {} bytes, got {}: it shrank while it was read", path, needed, bytes.size());
  if (compression == 3 && !(little_endian(&bytes[54], 4) == 0xff0000 && little_endian(&bytes[58], 4) == 0xff00 &&
                            little_endian(&bytes[62], 4) == 0xff))
    fail("{}: expected a BMP of blue, green, red bytes, got other masks", path);
  const uint32_t palette = std::min<uint32_t>((offset - 14 - header) / 4, 256);
  if (bits <= 8 && palette < colours_used(&bytes[offset], static_cast<size_t>(height), stride, width, bits))
    fail("{}: damaged BMP: its pixels use more colours than its palette has ({})", path, palette);

  int found_width = 0, found_height = 0, channels = 0;
  const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
      stbi_load_from_memory(bytes.data(), static_cast<int>(bytes.size()), &found_width, &found_height, &channels, 3),
      stbi_image_free);
  if (!pixels) fail("{}: damaged BMP: {}", path, stbi_failure_reason());
  out.height = found_height;
  out.width = found_width;
  out.pixels.assign(pixels.get(), pixels.get() + static_cast<size_t>(height) * static_cast<size_t>(width) * 3);
}

void write_bmp(OutputFile& file, const Image& image) {
  check_pixels(image);
  // Called by C code, through which no exception may pass.
  const auto append = [](void* bytes, void* data, int size) {
    static_cast<std::vector<char>*>(bytes)->insert(static_cast<std::vector<char>*>(bytes)->end(),
                                                   static_cast<char*>(data), static_cast<char*>(data) + size);
  };
  std::vector<char> bytes;
  bytes.reserve(kHeaderBytes + static_cast<size_t>(image.height) * (static_cast<size_t>(image.width) * 3 + 3));
  if (stbi_write_bmp_to_func(append, &bytes, image.width, image.height, 3, image.pixels.data()) == 0)
    fail("{}: cannot write: stb_image_write refuses the picture", file.path());
  file.write(bytes.data(), bytes.size());
}

}  // namespace mpanet
