// JPEG through libjpeg-turbo. Warnings about damaged pixel data are errors here, because libjpeg would fill in invented
// pixels.
#include <cstdio>  // jpeglib.h needs FILE

#include "core/base/error.h"
#include "core/base/file.h"
#include "data/pictures/codecs.h"
#include "data/pictures/picture_file.h"

#ifdef MPANET_HAS_JPEG
#  include <jerror.h>
#  include <jpeglib.h>

#  include <cstdlib>

#  include "data/pictures/guarded.h"
#endif

namespace mpanet {

#ifdef MPANET_HAS_JPEG

namespace {

// Even an empty scan costs time for every block of the picture, so the number of scans is limited. Encoders write about
// ten.
constexpr int kMostScans = 100;

// libjpeg's error handler and its jump target. `manager` is the first member, because libjpeg passes a pointer to it,
// which is cast to Errors.
struct Errors {
  jpeg_error_mgr manager;
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
  bool before_pixels = false;  // the headers before the first scan are being read
};

[[noreturn]] void jump_out(j_common_ptr info) {
  Errors& errors = *reinterpret_cast<Errors*>(info->err);
  errors.manager.format_message(info, errors.message);
  std::longjmp(errors.jump, 1);
}

// A level below 0 is a warning. It is an error unless it cannot concern pixels. Stray bytes between the headers cannot;
// stray bytes after a scan may be the rest of damaged pixel data.
void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  const int code = info->err->msg_code;
  if (code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM || code == JWRN_NOT_SEQUENTIAL) return;
  if (code == JWRN_EXTRANEOUS_DATA && reinterpret_cast<Errors*>(info->err)->before_pixels) return;
  jump_out(info);
}

jpeg_error_mgr* quiet_errors(Errors& errors) {
  jpeg_std_error(&errors.manager);
  errors.manager.error_exit = jump_out;
  errors.manager.emit_message = on_message;
  return &errors.manager;
}

struct Compression {
  jpeg_compress_struct info{};
  Errors errors{};
  const Image* image = nullptr;
  int quality = 0;
  unsigned char* bytes = nullptr;  // allocated by libjpeg with malloc()
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
  jpeg_source_mgr source{};
  jpeg_progress_mgr progress{};
  PictureFile* file = nullptr;
  Image* out = nullptr;
  std::vector<uint8_t> line;  // one row of a CMYK picture
  ~State() { jpeg_destroy_decompress(&info); }

  static State& of(j_decompress_ptr info) { return *static_cast<State*>(info->client_data); }
  static void create(State& s);
  static boolean fill(j_decompress_ptr info);
  static void skip(j_decompress_ptr info, long count);
  static void limit_scans(j_common_ptr info);
  static void read_header(State& s);
  static void start(State& s);
  static void read_rgb(State& s);
  static void read_cmyk(State& s);
  static void abort(State& s) { jpeg_abort_decompress(&s.info); }
};

void JpegDecoder::State::create(State& s) {
  jpeg_create_decompress(&s.info);
  s.info.client_data = &s;
  s.source.init_source = [](j_decompress_ptr) {};
  s.source.fill_input_buffer = fill;
  s.source.skip_input_data = skip;
  s.source.resync_to_restart = jpeg_resync_to_restart;
  s.source.term_source = [](j_decompress_ptr) {};
  s.progress.progress_monitor = limit_scans;
}

boolean JpegDecoder::State::fill(j_decompress_ptr info) {
  const std::span<const uint8_t> piece = of(info).file->next();
  if (piece.empty()) ERREXIT(info, JWRN_JPEG_EOF);
  info->src->next_input_byte = piece.data();
  info->src->bytes_in_buffer = piece.size();
  return TRUE;
}

void JpegDecoder::State::skip(j_decompress_ptr info, long count) {
  while (count > static_cast<long>(info->src->bytes_in_buffer)) {
    count -= static_cast<long>(info->src->bytes_in_buffer);
    fill(info);
  }
  info->src->next_input_byte += count;
  info->src->bytes_in_buffer -= static_cast<size_t>(count);
}

void JpegDecoder::State::limit_scans(j_common_ptr info) {
  State& s = of(reinterpret_cast<j_decompress_ptr>(info));
  if (s.info.input_scan_number <= kMostScans) return;
  std::snprintf(s.errors.message, sizeof s.errors.message, "more than %d scans", kMostScans);
  std::longjmp(s.errors.jump, 1);
}

void JpegDecoder::State::read_header(State& s) {
  s.source.bytes_in_buffer = 0;
  s.info.src = &s.source;
  s.info.progress = &s.progress;
  s.errors.before_pixels = true;
  jpeg_read_header(&s.info, TRUE);
  s.errors.before_pixels = false;
}

// Pillow uses libjpeg's defaults: JDCT_ISLOW, fancy upsampling, block smoothing. Grayscale becomes three equal
// components.
void JpegDecoder::State::start(State& s) {
  s.info.out_color_space = s.info.num_components == 4 ? JCS_CMYK : JCS_RGB;
  jpeg_start_decompress(&s.info);
}

void JpegDecoder::State::read_rgb(State& s) {
  constexpr JDIMENSION kRows = 16;
  const size_t stride = static_cast<size_t>(s.info.output_width) * 3;
  while (s.info.output_scanline < s.info.output_height) {
    JSAMPROW rows[kRows];
    const JDIMENSION left = s.info.output_height - s.info.output_scanline, count = left < kRows ? left : kRows;
    for (JDIMENSION i = 0; i < count; i++) rows[i] = s.out->pixels.data() + (s.info.output_scanline + i) * stride;
    jpeg_read_scanlines(&s.info, rows, count);
  }
  jpeg_finish_decompress(&s.info);
}

// Pillow's arithmetic. Pillow treats every CMYK file as written by Adobe's programs: bytes hold 255 minus the ink.
void JpegDecoder::State::read_cmyk(State& s) {
  uint8_t* out = s.out->pixels.data();
  while (s.info.output_scanline < s.info.output_height) {
    JSAMPROW row = s.line.data();
    jpeg_read_scanlines(&s.info, &row, 1);
    for (const uint8_t* in = s.line.data(); in < s.line.data() + s.line.size(); in += 4)
      for (int c = 0; c < 3; c++) {
        const int product = (255 - in[c]) * in[3] + 128, ink = ((product >> 8) + product) >> 8;
        *out++ = static_cast<uint8_t>(in[3] - ink);
      }
  }
  jpeg_finish_decompress(&s.info);
}

// Bytes of the coefficients, which libjpeg keeps until a picture's last scan. The numbers of 8 x 8 blocks are rounded
// up to multiples of the sampling factors, so a picture of one line may have coefficients for 32 lines.
static int64_t coefficient_bytes(jpeg_decompress_struct& info) {
  if (!jpeg_has_multiple_scans(&info)) return 0;
  const auto rounded = [](JDIMENSION blocks, int factor) {
    return (static_cast<int64_t>(blocks) + factor - 1) / factor * factor;
  };
  int64_t bytes = 0;
  for (const jpeg_component_info* c = info.comp_info; c < info.comp_info + info.num_components; c++)
    bytes += rounded(c->width_in_blocks, c->h_samp_factor) * rounded(c->height_in_blocks, c->v_samp_factor) *
             static_cast<int64_t>(sizeof(JBLOCK));
  return bytes;
}

JpegDecoder::JpegDecoder() : state_(std::make_unique<State>()) {
  state_->info.err = quiet_errors(state_->errors);
  if (!guarded(*state_, State::create)) fail("libjpeg: {}", state_->errors.message);
}

JpegDecoder::~JpegDecoder() = default;

void JpegDecoder::decode(PictureFile& file, Image& out) {
  State& s = *state_;
  const std::string& path = file.path();
  struct Rewind {  // resets the decompressor for the next picture, also after an exception
    State& state;
    ~Rewind() { guarded(state, State::abort); }
  } rewind{s};
  s.file = &file;
  s.out = &out;
  const auto run = [&](void (*body)(State&)) {
    if (guarded(s, body)) return;
    file.check();
    fail("{}: damaged JPEG: {}", path, s.errors.message);
  };
  run(State::read_header);
  const jpeg_decompress_struct& info = s.info;
  check_size(path, info.image_height, info.image_width);
  if (info.data_precision != 8) fail("{}: expected a JPEG of 8 bits, got {} bits", path, info.data_precision);
  const int components = info.num_components;
  if (components != 1 && components != 3 && components != 4)
    fail("{}: expected a JPEG of 1, 3 or 4 components, got {}", path, components);
  out.height = static_cast<int>(info.image_height);
  out.width = static_cast<int>(info.image_width);
  out.pixels.resize(static_cast<size_t>(out.height) * static_cast<size_t>(out.width) * 3);
  s.line.resize(components == 4 ? static_cast<size_t>(out.width) * 4 : 0);
  const int64_t coefficients = coefficient_bytes(s.info);
  if (const int64_t most = decoding_budget(out.height, out.width) / 2; coefficients > most)
    fail("{}: expected a JPEG whose coefficients take at most {} bytes, got {}", path, most, coefficients);
  run(State::start);
  run(components == 4 ? State::read_cmyk : State::read_rgb);
}

std::string encode_jpeg(const Image& image, int quality) {
  check_pixels(image);
  MPANET_CHECK(quality >= 1 && quality <= 100, "quality {}", quality);
  Compression c;
  c.info.err = quiet_errors(c.errors);
  c.image = &image;
  c.quality = quality;
  if (!guarded(c, compress)) fail("cannot write a JPEG: {}", c.errors.message);
  return {reinterpret_cast<const char*>(c.bytes), c.size};
}

#else

bool jpeg_supported() { return false; }

struct JpegDecoder::State {};
JpegDecoder::JpegDecoder() = default;
JpegDecoder::~JpegDecoder() = default;

void JpegDecoder::decode(PictureFile& file, Image&) {
  fail("{}: expected another format, got a JPEG: this build has no JPEG support (MPANET_JPEG)", file.path());
}

std::string encode_jpeg(const Image&, int) {
  fail("cannot write a JPEG: this build has no JPEG support (MPANET_JPEG)");
}

#endif

void write_jpeg(const std::string& path, const Image& image, int quality) {
  if (!jpeg_supported()) fail("{}: cannot write: this build has no JPEG support (MPANET_JPEG)", path);
  write_file(path, encode_jpeg(image, quality));
}

}  // namespace mpanet
