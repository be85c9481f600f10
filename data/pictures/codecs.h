// The formats behind ImageDecoder. Every function reads the file from its beginning and fills `out`, or throws a
// UserError that begins with the path; none allocates for pixels before check_size() has passed.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "data/pictures/image.h"
#include "data/pictures/picture_file.h"

namespace mpanet {

// UserError when a side is not positive or the picture has more than kMaxImagePixels.
void check_size(const std::string& path, int64_t height, int64_t width);

// What decoding may take at most, the result included, whatever the file holds.
constexpr int64_t decoding_budget(int64_t height, int64_t width) { return 64 * height * width + (int64_t{8} << 20); }

// Of a picture to be written: sides and number of bytes fit.
void check_pixels(const Image& image);

// Keeps libjpeg's decompressor between pictures.
class JpegDecoder {
 public:
  JpegDecoder();
  ~JpegDecoder();
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;
  void decode(PictureFile& file, Image& out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

void decode_png(PictureFile& file, Image& out);
void decode_bmp(PictureFile& file, Image& out);

}  // namespace mpanet
