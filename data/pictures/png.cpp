// PNG through stb_image. stb trusts its input where Pillow does not (it looks at no checksum and reads palette entries
// that were never set), so the structure is checked here first.
#include <stb/stb_image.h>

#include <array>
#include <memory>
#include <string_view>

#include "core/base/error.h"
#include "data/pictures/codecs.h"

namespace mpanet {
namespace {

constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; bit++) c = (c & 1) ? 0xEDB88320u ^ (c >> 1) : c >> 1;
    table[i] = c;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kCrcTable = make_crc_table();

uint32_t big_endian(const uint8_t* p) {
  return uint32_t{p[0]} << 24 | uint32_t{p[1]} << 16 | uint32_t{p[2]} << 8 | uint32_t{p[3]};
}

// A palette index beyond the palette is black in Pillow and whatever lay in memory in stb: lengthen the palette to 256
// black entries (stb does not look at its checksum).
void lengthen_palette(std::vector<uint8_t>& file, size_t chunk, size_t length) {
  constexpr size_t kFull = 256 * 3;
  if (length >= kFull || length % 3 != 0) return;
  file.insert(file.begin() + static_cast<std::ptrdiff_t>(chunk + 8 + length), kFull - length, 0);
  file[chunk + 2] = kFull >> 8;
  file[chunk + 3] = kFull & 255;
}

void check_png_header(const std::string& path, const uint8_t* header) {
  const uint32_t width = big_endian(header), height = big_endian(header + 4);
  check_size(path, height, width);
  if (header[8] == 16) fail("{}: expected a picture of 8 bits a channel, got a PNG of 16 bits", path);
}

}  // namespace

void decode_with_stb(const std::string& path, const char* format, const std::vector<uint8_t>& file, Image& out) {
  int width = 0, height = 0, channels = 0;
  const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
      stbi_load_from_memory(file.data(), static_cast<int>(file.size()), &width, &height, &channels, 3),
      stbi_image_free);
  if (!pixels) fail("{}: damaged {}: {}", path, format, stbi_failure_reason());
  out.height = height;
  out.width = width;
  out.pixels.assign(pixels.get(), pixels.get() + static_cast<size_t>(height) * static_cast<size_t>(width) * 3);
}

uint32_t crc32(const uint8_t* bytes, size_t count) {
  uint32_t c = 0xffffffffu;
  for (size_t i = 0; i < count; i++) c = kCrcTable[(c ^ bytes[i]) & 255] ^ (c >> 8);
  return ~c;
}

void decode_png(const std::string& path, std::vector<uint8_t>& file, Image& out) {
  size_t at = 8, palette = 0, palette_length = 0;
  for (bool first = true, last = false; !last; first = false) {
    if (file.size() - at < 12) fail("{}: damaged PNG: it ends before its last chunk", path);
    const size_t length = big_endian(&file[at]);
    const std::string_view type(reinterpret_cast<const char*>(&file[at + 4]), 4);
    if (length > file.size() - at - 12) fail("{}: damaged PNG: it ends before its last chunk", path);
    if (crc32(&file[at + 4], length + 4) != big_endian(&file[at + 8 + length]))
      fail("{}: damaged PNG: wrong checksum", path);
    if (first != (type == "IHDR") || (first && length != 13)) fail("{}: damaged PNG: no header", path);
    if (first) check_png_header(path, &file[at + 8]);
    if (type == "PLTE") palette = at, palette_length = length;
    last = type == "IEND";
    at += 12 + length;
  }
  if (palette != 0) lengthen_palette(file, palette, palette_length);
  decode_with_stb(path, "PNG", file, out);
}

}  // namespace mpanet
