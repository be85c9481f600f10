#include "data/pictures/image.h"

#include <cstring>
#include <span>
#include <string_view>

#include "core/base/error.h"
#include "data/pictures/codecs.h"
#include "data/pictures/picture_file.h"

namespace mpanet {
namespace {

bool begins_with(std::span<const uint8_t> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

}  // namespace

void check_size(const std::string& path, int64_t height, int64_t width) {
  if (height < 1 || width < 1) fail("{}: damaged picture: its height is {} and its width {}", path, height, width);
  if (height > kMaxImagePixels / width)
    fail("{}: expected a picture of at most {} pixels, got height {} and width {}", path, kMaxImagePixels, height,
         width);
}

void check_pixels(const Image& image) {
  MPANET_CHECK(image.height > 0 && image.width > 0 &&
                   image.pixels.size() == static_cast<size_t>(image.height) * static_cast<size_t>(image.width) * 3,
               "height {}, width {}, {} bytes", image.height, image.width, image.pixels.size());
}

struct ImageDecoder::State {
  PictureFile file;
  JpegDecoder jpeg;
};

ImageDecoder::ImageDecoder() : state_(std::make_unique<State>()) {}
ImageDecoder::~ImageDecoder() = default;
ImageDecoder::ImageDecoder(ImageDecoder&&) noexcept = default;
ImageDecoder& ImageDecoder::operator=(ImageDecoder&&) noexcept = default;

void ImageDecoder::decode(const std::string& path, Image& out) {
  PictureFile& file = state_->file;
  file.open(path);
  struct Close {
    PictureFile& file;
    ~Close() { file.close(); }
  } close{file};
  const std::span<const uint8_t> begin = file.begin();
  if (begins_with(begin, "\xff\xd8\xff"))
    state_->jpeg.decode(file, out);
  else if (begins_with(begin, "\x89PNG\r\n\x1a\n"))
    decode_png(file, out);
  else if (begins_with(begin, "BM"))
    decode_bmp(file, out);
  else
    fail("{}: expected a JPEG, PNG or BMP picture, got something else", path);
}

Image decode_image(const std::string& path) {
  Image image;
  ImageDecoder().decode(path, image);
  return image;
}

}  // namespace mpanet
