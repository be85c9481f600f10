// PNG through libpng. Chunks that change no pixel (colour profiles, text, gamma) are skipped and cost no memory; Pillow
// ignores them in convert("RGB") too. Every chunk's checksum is checked.
#include "core/base/error.h"
#include "core/base/file.h"
#include "data/pictures/codecs.h"
#include "data/pictures/picture_file.h"

#ifdef MPANET_HAS_PNG
#  include <png.h>

#  include <cstdint>
#  include <cstdio>
#  include <new>
#  include <utility>

#  include "data/pictures/guarded.h"
#endif

namespace mpanet {

#ifdef MPANET_HAS_PNG

namespace {

// The state of libpng's error handler and its jump target.
struct Errors {
  std::jmp_buf jump;
  char message[256] = "";
};

[[noreturn]] void jump_out(png_structp png, png_const_charp message) {
  Errors& errors = *static_cast<Errors*>(png_get_error_ptr(png));
  std::snprintf(errors.message, sizeof errors.message, "%s", message);
  std::longjmp(errors.jump, 1);
}

void ignore_warning(png_structp, png_const_charp) {}

struct Decompression {
  Errors errors;
  png_structp png = nullptr;
  png_infop info = nullptr;
  PictureFile* file = nullptr;
  Image* out = nullptr;
  png_uint_32 width = 0, height = 0;
  int bits = 0, color = 0;
  int passes = 0;
  size_t allowance = SIZE_MAX;  // bytes of the file that libpng may still read
  ~Decompression() { png_destroy_read_struct(&png, &info, nullptr); }
};

void read_from_file(png_structp png, png_bytep to, size_t bytes) {
  Decompression& d = *static_cast<Decompression*>(png_get_io_ptr(png));
  if (bytes > d.allowance) png_error(png, "more data than its pixels can need");
  d.allowance -= bytes;
  if (d.file->read(to, bytes) < bytes) png_error(png, "it ends before its last chunk");
}

void read_header(Decompression& d) {
  d.info = png_create_info_struct(d.png);
  if (d.info == nullptr) png_error(d.png, "out of memory");
  png_set_read_fn(d.png, &d, read_from_file);
  png_set_keep_unknown_chunks(d.png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_set_crc_action(d.png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  png_set_user_limits(d.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // no limit here: check_size() has one
  png_read_info(d.png, d.info);
  png_get_IHDR(d.png, d.info, &d.width, &d.height, &d.bits, &d.color, nullptr, nullptr, nullptr);
}

// Converts all kinds of pixels to 8-bit RGB. An index beyond the palette becomes black, as in Pillow.
void prepare_rows(Decompression& d) {
  if (d.color == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(d.png);
  if (d.color == PNG_COLOR_TYPE_GRAY && d.bits < 8) png_set_expand_gray_1_2_4_to_8(d.png);
  if (d.bits == 16) png_set_strip_16(d.png);
  png_set_strip_alpha(d.png);
  if ((d.color & PNG_COLOR_MASK_COLOR) == 0) png_set_gray_to_rgb(d.png);
  d.passes = png_set_interlace_handling(d.png);
  png_read_update_info(d.png, d.info);
}

// After the last row libpng inflates the rest of the stream, which can be millions of times larger than the picture. So
// a row may read at most as many bytes as an encoder would write for it, even with IDAT chunks of one byte.
void read_rows(Decompression& d) {
  const size_t stride = static_cast<size_t>(d.width) * 3, allowance = 16 * stride * (d.bits == 16 ? 2 : 1) + (64 << 10);
  for (int pass = 0; pass < d.passes; pass++)
    for (png_uint_32 y = 0; y < d.height; y++) {
      d.allowance = allowance;
      png_read_row(d.png, d.out->pixels.data() + y * stride, nullptr);
    }
  d.allowance = SIZE_MAX;
  png_read_end(d.png, nullptr);
}

struct Compression {
  Errors errors;
  png_structp png = nullptr;
  png_infop info = nullptr;
  const Image* image = nullptr;
  std::string bytes;
  ~Compression() { png_destroy_write_struct(&png, &info); }
};

void append_bytes(png_structp png, png_bytep data, size_t size) {
  bool done = true;
  try {
    static_cast<std::string*>(png_get_io_ptr(png))->append(reinterpret_cast<const char*>(data), size);
  } catch (const std::bad_alloc&) {
    done = false;
  }
  if (!done) png_error(png, "out of memory");
}

void compress(Compression& c) {
  c.info = png_create_info_struct(c.png);
  if (c.info == nullptr) png_error(c.png, "out of memory");
  png_set_write_fn(c.png, &c.bytes, append_bytes, nullptr);
  const auto width = static_cast<png_uint_32>(c.image->width), height = static_cast<png_uint_32>(c.image->height);
  png_set_IHDR(c.png, c.info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  png_write_info(c.png, c.info);
  const size_t stride = static_cast<size_t>(width) * 3;
  for (png_uint_32 y = 0; y < height; y++) png_write_row(c.png, c.image->pixels.data() + y * stride);
  png_write_end(c.png, nullptr);
}

}  // namespace

bool png_supported() { return true; }

void decode_png(PictureFile& file, Image& out) {
  const std::string& path = file.path();
  Decompression d;
  d.file = &file;
  d.out = &out;
  d.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &d.errors, jump_out, ignore_warning);
  if (d.png == nullptr) fail("{}: cannot read: libpng refuses to start", path);
  const auto run = [&](void (*body)(Decompression&)) {
    if (guarded(d, body)) return;
    file.check();
    fail("{}: damaged PNG: {}", path, d.errors.message);
  };
  run(read_header);
  check_size(path, d.height, d.width);
  if (d.color == PNG_COLOR_TYPE_GRAY && d.bits == 16)
    fail("{}: expected a picture of 8 bits a channel, got a grayscale PNG of 16 bits", path);
  run(prepare_rows);
  out.height = static_cast<int>(d.height);
  out.width = static_cast<int>(d.width);
  out.pixels.resize(static_cast<size_t>(out.height) * static_cast<size_t>(out.width) * 3);
  run(read_rows);
}

std::string encode_png(const Image& image) {
  check_pixels(image);
  Compression c;
  c.image = &image;
  c.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &c.errors, jump_out, ignore_warning);
  if (c.png == nullptr) fail("cannot write a PNG: libpng refuses to start");
  if (!guarded(c, compress)) fail("cannot write a PNG: {}", c.errors.message);
  return std::move(c.bytes);
}

#else

bool png_supported() { return false; }

void decode_png(PictureFile& file, Image&) {
  fail("{}: expected another format, got a PNG: this build has no PNG support (MPANET_PNG)", file.path());
}

std::string encode_png(const Image&) { fail("cannot write a PNG: this build has no PNG support (MPANET_PNG)"); }

#endif

void write_png(OutputFile& file, const Image& image) {
  if (!png_supported()) fail("{}: cannot write: this build has no PNG support (MPANET_PNG)", file.path());
  file.write(encode_png(image));
}

void write_png(const std::string& path, const Image& image) {
  OutputFile file(path);
  write_png(file, image);
  file.commit();
}

}  // namespace mpanet
