// JPEG through libjpeg-turbo. libjpeg reports an error by calling error_exit, which must not return: it jumps back to
// guarded(). Between the two only C frames and C++ frames without destructors may lie, so each body below is a plain
// function on a State that outlives the jump, and allocation and exceptions happen outside.
#include <cstdio>  // jpeglib.h needs FILE

#include "core/base/error.h"
#include "core/base/file.h"
#include "data/pictures/codecs.h"

#ifdef MPANET_HAS_JPEG
#  include <jerror.h>
#  include <jpeglib.h>

#  include <csetjmp>
#  include <cstdlib>
#endif

namespace mpanet {

#ifdef MPANET_HAS_JPEG

namespace {

// libjpeg's error handler and where it jumps to. `manager` comes first: libjpeg hands back a pointer to it.
struct Errors {
  jpeg_error_mgr manager;
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void jump_out(j_common_ptr info) {
  Errors& errors = *reinterpret_cast<Errors*>(info->err);
  errors.manager.format_message(info, errors.message);
  std::longjmp(errors.jump, 1);
}

// Level below 0 is a warning: libjpeg would go on and invent the missing pixels. Only what concerns no pixel is let
// through.
void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  const int code = info->err->msg_code;
  if (code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM || code == JWRN_NOT_SEQUENTIAL) return;
  jump_out(info);
}

jpeg_error_mgr* quiet_errors(Errors& errors) {
  jpeg_std_error(&errors.manager);
  errors.manager.error_exit = jump_out;
  errors.manager.emit_message = on_message;
  return &errors.manager;
}

// Runs body(state); false when libjpeg reported an error, which then stands in state.errors.message.
template <class State>
bool guarded(State& state, void (*body)(State&)) {
  if (setjmp(state.errors.jump) != 0) return false;
  body(state);
  return true;
}

struct Compression {
  jpeg_compress_struct info{};
  Errors errors{};
  const Image* image = nullptr;
  int quality = 0;
  unsigned char* bytes = nullptr;  // malloc'ed by libjpeg
  unsigned long size = 0;
  ~Compression() {
    jpeg_destroy_compress(&info);
    std::free(bytes);
  }
};

void compress(Compression& c) {
  jpeg_create_compress(&c.info);
  jpeg_mem_dest(&c.info, &c.bytes, &c.size);
  c.info.image_width = static_cast<JDIMENSION>(c.image->width);
  c.info.image_height = static_cast<JDIMENSION>(c.image->height);
  c.info.input_components = 3;
  c.info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&c.info);
  jpeg_set_quality(&c.info, c.quality, TRUE);
  jpeg_start_compress(&c.info, TRUE);
  while (c.info.next_scanline < c.info.image_height) {
    const size_t start = static_cast<size_t>(c.info.next_scanline) * c.info.image_width * 3;
    JSAMPROW row = const_cast<JSAMPROW>(c.image->pixels.data() + start);
    jpeg_write_scanlines(&c.info, &row, 1);
  }
  jpeg_finish_compress(&c.info);
}

}  // namespace

bool jpeg_supported() { return true; }

struct JpegDecoder::State {
  jpeg_decompress_struct info{};
  Errors errors{};
  const std::vector<uint8_t>* file = nullptr;
  uint8_t* pixels = nullptr;
  ~State() { jpeg_destroy_decompress(&info); }

  static void create(State& s) { jpeg_create_decompress(&s.info); }

  static void read_header(State& s) {
    jpeg_mem_src(&s.info, s.file->data(), static_cast<unsigned long>(s.file->size()));
    jpeg_read_header(&s.info, TRUE);
  }

  static void read_pixels(State& s) {
    // libjpeg's defaults are what Pillow uses: JDCT_ISLOW, fancy upsampling, block smoothing. One component becomes
    // three equal ones.
    s.info.out_color_space = JCS_RGB;
    jpeg_start_decompress(&s.info);
    constexpr JDIMENSION kRows = 16;
    const size_t stride = static_cast<size_t>(s.info.output_width) * 3;
    while (s.info.output_scanline < s.info.output_height) {
      JSAMPROW rows[kRows];
      const JDIMENSION left = s.info.output_height - s.info.output_scanline, count = left < kRows ? left : kRows;
      for (JDIMENSION i = 0; i < count; i++) rows[i] = s.pixels + (s.info.output_scanline + i) * stride;
      jpeg_read_scanlines(&s.info, rows, count);
    }
    jpeg_finish_decompress(&s.info);
  }

  static void abort(State& s) { jpeg_abort_decompress(&s.info); }
};

JpegDecoder::JpegDecoder() : state_(std::make_unique<State>()) {
  state_->info.err = quiet_errors(state_->errors);
  if (!guarded(*state_, State::create)) fail("libjpeg: {}", state_->errors.message);
}

JpegDecoder::~JpegDecoder() = default;

void JpegDecoder::decode(const std::string& path, const std::vector<uint8_t>& file, Image& out) {
  State& s = *state_;
  struct Rewind {  // whatever happens, the next picture starts afresh
    State& state;
    ~Rewind() { guarded(state, State::abort); }
  } rewind{s};
  s.file = &file;
  if (!guarded(s, State::read_header)) fail("{}: damaged JPEG: {}", path, s.errors.message);
  check_size(path, s.info.image_height, s.info.image_width);
  if (s.info.data_precision != 8) fail("{}: expected a JPEG of 8 bits, got {} bits", path, s.info.data_precision);
  if (s.info.num_components != 1 && s.info.num_components != 3)
    fail("{}: expected a grayscale or RGB picture, got a JPEG of {} components{}", path, s.info.num_components,
         s.info.num_components == 4 ? " (CMYK)" : "");
  out.height = static_cast<int>(s.info.image_height);
  out.width = static_cast<int>(s.info.image_width);
  out.pixels.resize(static_cast<size_t>(out.height) * static_cast<size_t>(out.width) * 3);
  s.pixels = out.pixels.data();
  if (!guarded(s, State::read_pixels)) fail("{}: damaged JPEG: {}", path, s.errors.message);
}

void write_jpeg(const std::string& path, const Image& image, int quality) {
  MPANET_CHECK(image.height > 0 && image.width > 0 &&
                   image.pixels.size() == static_cast<size_t>(image.height) * static_cast<size_t>(image.width) * 3,
               "height {}, width {}, {} bytes", image.height, image.width, image.pixels.size());
  MPANET_CHECK(quality >= 1 && quality <= 100, "quality {}", quality);
  Compression c;
  c.info.err = quiet_errors(c.errors);
  c.image = &image;
  c.quality = quality;
  if (!guarded(c, compress)) fail("{}: cannot write: {}", path, c.errors.message);
  write_file(path, {reinterpret_cast<const char*>(c.bytes), c.size});
}

#else

bool jpeg_supported() { return false; }

struct JpegDecoder::State {};
JpegDecoder::JpegDecoder() = default;
JpegDecoder::~JpegDecoder() = default;

void JpegDecoder::decode(const std::string& path, const std::vector<uint8_t>&, Image&) {
  fail("{}: expected a PNG or BMP picture, got a JPEG: this build has no JPEG support (MPANET_JPEG)", path);
}

void write_jpeg(const std::string& path, const Image&, int) {
  fail("{}: cannot write: this build has no JPEG support (MPANET_JPEG)", path);
}

#endif

}  // namespace mpanet
