#include "data/pictures/image.h"

#include <stb/stb_image_write.h>

#include <cstring>
#include <string_view>

#include "core/base/error.h"
#include "core/base/file.h"
#include "data/pictures/codecs.h"

namespace mpanet {
namespace {

// The whole file into `bytes`, whose memory is reused (read_bytes() would allocate for every picture, and for a file of
// any size).
void read_picture(const std::string& path, std::vector<uint8_t>& bytes) {
  const InputFile file(path, kMaxImageFileBytes);
  if (file.size() == 0) fail("{}: expected a picture, got an empty file", path);
  if (file.size() > kMaxImageFileBytes)
    fail("{}: expected a picture of at most {} MiB, got {} MiB", path, kMaxImageFileBytes >> 20, file.size() >> 20);
  bytes.resize(file.size());
  if (const size_t got = file.read(bytes.data(), bytes.size(), 0); got < bytes.size())
    fail("{}: expected {} bytes, got {}: it shrank while it was read", path, bytes.size(), got);
}

bool begins_with(const std::vector<uint8_t>& bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

void append_bytes(void* vector, void* data, int size) {
  auto* bytes = static_cast<std::string*>(vector);
  bytes->append(static_cast<const char*>(data), static_cast<size_t>(size));
}

}  // namespace

void check_size(const std::string& path, int64_t height, int64_t width) {
  if (height < 1 || width < 1) fail("{}: damaged picture: its height is {} and its width {}", path, height, width);
  if (height > kMaxImagePixels / width)
    fail("{}: expected a picture of at most {} pixels, got height {} and width {}", path, kMaxImagePixels, height,
         width);
}

struct ImageDecoder::State {
  std::vector<uint8_t> file;
  JpegDecoder jpeg;
};

ImageDecoder::ImageDecoder() : state_(std::make_unique<State>()) {}
ImageDecoder::~ImageDecoder() = default;
ImageDecoder::ImageDecoder(ImageDecoder&&) noexcept = default;
ImageDecoder& ImageDecoder::operator=(ImageDecoder&&) noexcept = default;

void ImageDecoder::decode(const std::string& path, Image& out) {
  std::vector<uint8_t>& file = state_->file;
  read_picture(path, file);
  if (begins_with(file, "\xff\xd8\xff"))
    state_->jpeg.decode(path, file, out);
  else if (begins_with(file, "\x89PNG\r\n\x1a\n"))
    decode_png(path, file, out);
  else if (begins_with(file, "BM"))
    decode_bmp(path, file, out);
  else
    fail("{}: expected a JPEG, PNG or BMP picture, got something else", path);
}

Image decode_image(const std::string& path) {
  Image image;
  ImageDecoder().decode(path, image);
  return image;
}

void write_png(OutputFile& file, const Image& image) {
  MPANET_CHECK(image.height > 0 && image.width > 0 &&
                   image.pixels.size() == static_cast<size_t>(image.height) * static_cast<size_t>(image.width) * 3,
               "height {}, width {}, {} bytes", image.height, image.width, image.pixels.size());
  std::string bytes;
  if (!stbi_write_png_to_func(append_bytes, &bytes, image.width, image.height, 3, image.pixels.data(), image.width * 3))
    fail("{}: cannot write: the PNG encoder ran out of memory", file.path());
  file.write(bytes);
}

void write_png(const std::string& path, const Image& image) {
  OutputFile file(path);
  write_png(file, image);
  file.commit();
}

}  // namespace mpanet
