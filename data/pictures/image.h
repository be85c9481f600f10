// Pictures on disk: decoding by content (never by the file's ending) and writing. Decoded pixels equal Pillow's
// Image.open(path).convert("RGB") to the bit (docs/method.md, section 3); EXIF orientation and colour profiles are
// ignored.
//
//   JPEG  grayscale, three components, CMYK and YCCK, baseline and progressive, through libjpeg-turbo: slow integer
//   DCT,
//         fancy upsampling. Refused: 12 bits, more than 100 scans. Damage that libjpeg only warns of (premature end,
//         bad codes) is an error; stray bytes between the headers are none.
//   PNG   1 to 16 bits: grayscale, RGB, palette; alpha is dropped, of 16 bits the upper eight count. Checksums are
//         checked. Refused: grayscale of 16 bits, which Pillow clips at 255.
//   BMP   uncompressed, palette (1, 4, 8 bits), 24 and 32 bits. Refused: 16 bits, run lengths.
//
// Everything else (empty, truncated, damaged or huge files, folders, other formats) is a UserError of one line that
// begins with the path. What decoding costs follows from the picture's size, not from what the file makes of it: at
// most 64 bytes a pixel and 8 MiB.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/file.h"

namespace mpanet {

struct Image {
  int height = 0, width = 0;
  std::vector<uint8_t> pixels;  // (height, width, 3), RGB, 0..255
};

// Larger pictures and files are refused before anything of their size is allocated.
constexpr int64_t kMaxImagePixels = 1 << 26;        // 8192 x 8192
constexpr uint64_t kMaxImageFileBytes = 256 << 20;  // 256 MiB

// Decodes one picture after another, reusing the buffer and the JPEG decompressor. One per thread.
class ImageDecoder {
 public:
  ImageDecoder();
  ~ImageDecoder();
  ImageDecoder(ImageDecoder&&) noexcept;
  ImageDecoder& operator=(ImageDecoder&&) noexcept;
  // Replaces `out`, reusing its memory. After an error the decoder can be used again; `out` is then unspecified.
  void decode(const std::string& path, Image& out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Image decode_image(const std::string& path);

// Both write atomically (core/base/file.h). Quality 1..100 of libjpeg's scale, chroma halved in both directions
// (4:2:0). UserError without the format's support in the build.
void write_jpeg(const std::string& path, const Image& image, int quality);
void write_png(const std::string& path, const Image& image);
void write_png(OutputFile& file, const Image& image);  // without commit()

// Whether this build reads and writes JPEG (MPANET_JPEG).
bool jpeg_supported();
// Whether this build reads and writes PNG (MPANET_PNG).
bool png_supported();

}  // namespace mpanet
