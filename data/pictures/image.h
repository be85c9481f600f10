// Decoding and writing of pictures. The format is recognised by the file's content and not by its name. Decoded pixels
// equal Pillow's Image.open(path).convert("RGB"), to the bit (docs/method.md, section 3). EXIF orientation and colour
// profiles are ignored.
//
//   JPEG  grayscale, three components, CMYK and YCCK, baseline and progressive, through libjpeg-turbo with the slow
//         integer DCT and fancy upsampling. Refused: 12 bits, more than 100 scans. Damage that libjpeg only warns of
//         (premature end, bad codes) is an error. Stray bytes between the headers are allowed.
//   PNG   1 to 16 bits: grayscale, RGB, palette. Alpha is dropped, and of 16 bits the upper eight are used. Checksums
//         are checked. Refused: grayscale of 16 bits, which Pillow clips at 255.
//   BMP   uncompressed, palette (1, 4, 8 bits), 24 and 32 bits. Refused: 16 bits, run-length encoding.
//
// Everything else (empty, truncated, damaged or huge files, folders, other formats) is a UserError: one line that
// begins with the path. The memory for decoding depends only on the picture's size: at most 64 bytes a pixel and 8
// MiB.
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

// Larger pictures and files are refused before memory of their size is allocated.
constexpr int64_t kMaxImagePixels = 1 << 26;        // 8192 x 8192
constexpr uint64_t kMaxImageFileBytes = 256 << 20;  // 256 MiB

// Decodes pictures, and reuses the buffer and the JPEG decompressor for all. Not thread-safe: one per thread.
class ImageDecoder {
 public:
  ImageDecoder();
  ~ImageDecoder();
  ImageDecoder(ImageDecoder&&) noexcept;
  ImageDecoder& operator=(ImageDecoder&&) noexcept;
  // Replaces `out` and reuses its memory. UserError: see above; `out` is then unspecified, and the decoder is usable.
  void decode(const std::string& path, Image& out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Image decode_image(const std::string& path);

// The bytes of a file. Quality and errors as below.
std::string encode_jpeg(const Image& image, int quality);
std::string encode_png(const Image& image);
// Both write atomically (core/base/file.h). JPEG has libjpeg's quality 1..100, with chroma at half the resolution in
// both directions (4:2:0). UserError when the file cannot be written or this build lacks the format.
void write_jpeg(const std::string& path, const Image& image, int quality);
void write_png(const std::string& path, const Image& image);
void write_bmp(OutputFile& file, const Image& image);  // 24 bits a pixel; without commit()
void write_png(OutputFile& file, const Image& image);  // the caller calls commit()

// Whether this build reads and writes JPEG (MPANET_JPEG).
bool jpeg_supported();
// Whether this build reads and writes PNG (MPANET_PNG).
bool png_supported();

}  // namespace mpanet
