// The formats behind ImageDecoder. Every function fills `out` or throws a UserError that begins with `path`; none
// allocates for pixels before check_size() has passed.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/pictures/image.h"

namespace mpanet {

// UserError when a side is not positive or the picture has more than kMaxImagePixels.
void check_size(const std::string& path, int64_t height, int64_t width);

// Keeps libjpeg's decompressor between pictures.
class JpegDecoder {
 public:
  JpegDecoder();
  ~JpegDecoder();
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;
  void decode(const std::string& path, const std::vector<uint8_t>& file, Image& out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

void decode_png(const std::string& path, std::vector<uint8_t>& file, Image& out);  // may change `file`
void decode_bmp(const std::string& path, const std::vector<uint8_t>& file, Image& out);

// The picture of a file whose structure has been checked; `format` names it in the error.
void decode_with_stb(const std::string& path, const char* format, const std::vector<uint8_t>& file, Image& out);

// CRC-32 as PNG has it (polynomial 0xEDB88320, reflected).
uint32_t crc32(const uint8_t* bytes, size_t count);

}  // namespace mpanet
