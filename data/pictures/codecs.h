// The picture formats of ImageDecoder. Every function reads the file from its beginning and fills `out`, or throws
// UserError, which begins with the path. It calls check_size() before it allocates memory for pixels.
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

// Upper bound, in bytes, of the memory for decoding a picture of height x width pixels, result included.
constexpr int64_t decoding_budget(int64_t height, int64_t width) { return 64 * height * width + (int64_t{8} << 20); }

// CheckError unless the sides of a picture to be written are positive and match its number of bytes.
void check_pixels(const Image& image);

// Reuses libjpeg's decompressor for all pictures.
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
