// The memory for decoding depends only on a picture's number of pixels: at most 64 bytes a pixel and 8 MiB.
#include <doctest/doctest.h>

#include <algorithm>
#include <thread>

#include "data/pictures/resize.h"
#include "tests/support/image_helpers.h"
#include "tests/support/memory.h"

using namespace mpanet;

namespace {

using Bytes = std::vector<uint8_t>;

void append(Bytes& bytes, const Bytes& more) { bytes.insert(bytes.end(), more.begin(), more.end()); }

Bytes big_endian(uint32_t value, int bytes) {
  Bytes out;
  for (int i = bytes - 1; i >= 0; i--) out.push_back(static_cast<uint8_t>(value >> (8 * i)));
  return out;
}

// A segment of a JPEG with its length.
Bytes segment(uint8_t marker, const Bytes& content) {
  Bytes out = {0xff, marker};
  append(out, big_endian(static_cast<uint32_t>(content.size()) + 2, 2));
  append(out, content);
  return out;
}

Bytes png_chunk(const std::string& kind, const Bytes& content) {
  Bytes body(kind.begin(), kind.end()), out = big_endian(static_cast<uint32_t>(content.size()), 4);
  append(body, content);
  append(out, body);
  append(out, big_endian(crc32(body.data(), body.size()), 4));
  return out;
}

// Decodes, checks that the memory stays within the picture's budget, and returns the error, "" for none.
std::string decode_within_budget(const std::string& path, int64_t pixels) {
  std::string message;
  const size_t grown = peak_growth([&] { message = user_error_of([&] { decode_image(path); }); });
  CAPTURE(path);
  CAPTURE(grown);
  if (kMemoryIsMeasurable) CHECK(grown <= static_cast<size_t>(64 * pixels + (8 << 20)));
  return message;
}

}  // namespace

TEST_CASE("a PNG of one pixel that inflates to 72 MiB") {
  if (!png_supported()) return;
  const std::string bomb = TEST_FIXTURES "/formats/bomb.png";
  CHECK(decode_within_budget(bomb, 1).find("more data than its pixels can need") != std::string::npos);
  // The same from several threads, as in the loader.
  const size_t grown = peak_growth([&] {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; i++) threads.emplace_back([&] { user_error_of([&] { decode_image(bomb); }); });
  });
  if (kMemoryIsMeasurable) CHECK(grown < 8 << 20);
}

TEST_CASE("a PNG with a chunk of 48 MiB that is no picture") {
  if (!png_supported()) return;
  const TemporaryFolder folder;
  Bytes png = read_bytes(fixture("rgb.png"));
  const Bytes chunk = png_chunk("prIv", Bytes(48 << 20, 7));
  png.insert(png.begin() + 33, chunk.begin(), chunk.end());  // after the header
  write_bytes(folder / "a.png", png);
  Bytes().swap(png);
  CHECK(decode_within_budget(folder / "a.png", 61 * 27) == "");
}

TEST_CASE("files with much behind the picture, or before it") {
  const TemporaryFolder folder;
  for (const std::string name : {"rgb.bmp", "palette.bmp", "rgb.png", "420.jpg"}) {
    if (!readable(name)) continue;
    write_bytes(folder / name, read_bytes(fixture(name)));
    std::filesystem::resize_file(folder / name, 100 << 20);  // sparse
    CHECK(decode_within_budget(folder / name, 61 * 27) == "");
  }
  if (!jpeg_supported()) return;
  Bytes jpeg = {0xff, 0xd8};
  for (int i = 0; i < 600; i++) append(jpeg, segment(0xef, Bytes(65000)));  // APP15 segments
  const Bytes whole = read_bytes(fixture("420.jpg"));
  jpeg.insert(jpeg.end(), whole.begin() + 2, whole.end());
  write_bytes(folder / "a.jpg", jpeg);
  Bytes().swap(jpeg);
  CHECK(decode_within_budget(folder / "a.jpg", 61 * 27) == "");
}

TEST_CASE("a BMP whose pixels begin far away") {
  const TemporaryFolder folder;
  Bytes bmp = read_bytes(fixture("rgb.bmp"));
  const uint32_t offset = 64 << 20;
  for (int i = 0; i < 4; i++) bmp[10 + static_cast<size_t>(i)] = static_cast<uint8_t>(offset >> (8 * i));
  write_bytes(folder / "a.bmp", bmp);
  std::filesystem::resize_file(folder / "a.bmp", 100 << 20);
  CHECK(decode_within_budget(folder / "a.bmp", 61 * 27).find("pixels start at byte 67108864") != std::string::npos);
}

TEST_CASE("a progressive JPEG one pixel high whose blocks are 32 high") {
  if (!jpeg_supported()) return;
  const TemporaryFolder folder;
  constexpr int kWidth = 65000;
  Bytes jpeg = {0xff, 0xd8};
  Bytes table(65, 1), codes(18, 0);
  table[0] = 0;
  codes[1] = 1;
  append(jpeg, segment(0xdb, table));
  Bytes frame = {8, 0, 1, kWidth >> 8, kWidth & 255, 4};
  for (uint8_t c = 1; c <= 4; c++) append(frame, {c, 0x44, 0});
  append(jpeg, segment(0xc2, frame));
  append(jpeg, segment(0xc4, codes));
  append(jpeg, segment(0xda, {1, 1, 0, 0, 0, 0}));
  append(jpeg, Bytes((kWidth + 63) / 64));  // a bit a block
  append(jpeg, {0xff, 0xd9});
  write_bytes(folder / "a.jpg", jpeg);
  CHECK(decode_within_budget(folder / "a.jpg", kWidth).find("whose coefficients take at most") != std::string::npos);
}

TEST_CASE("resizing a picture that is tall and narrow, or flat and wide") {
  constexpr int kLong = 1 << 22;
  for (const auto& size : {std::pair(kLong, 1), std::pair(1, kLong), std::pair(kLong / 2, 2)}) {
    const int height = size.first, width = size.second;
    const Image in{height, width, Bytes(static_cast<size_t>(height) * static_cast<size_t>(width) * 3, 77)};
    Image out;
    Resizer resizer;
    const size_t grown = peak_growth([&] { resizer.resize(in, 384, 128, out); });
    CAPTURE(height);
    if (kMemoryIsMeasurable) CHECK(grown <= size_t{64} * kLong);
    // Equal input gives equal output, except for the rounding of coefficients.
    CHECK(std::all_of(out.pixels.begin(), out.pixels.end(), [](int v) { return v >= 76 && v <= 78; }));
  }
}

TEST_CASE("a resizer forgets filters before they add up") {
  Resizer resizer;
  Image out;
  const size_t grown = peak_growth([&] {
    for (int i = 0; i < 20; i++) {
      const Image in{1000000 + i, 1, Bytes(static_cast<size_t>(1000000 + i) * 3, 9)};
      resizer.resize(in, 96, 32, out);
    }
  });
  if (kMemoryIsMeasurable) CHECK(grown < 64 << 20);  // all of them would be 160 MB
}
