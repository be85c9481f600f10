// Decoding against Pillow's results (fixtures/images/make.py), every kind of bad file, writing, .npy files.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <numeric>

#include "core/base/random.h"
#include "data/pictures/resize.h"
#include "data/sets/npy.h"
#include "tests/support/image_helpers.h"

using namespace mpanet;

namespace {

// Checks that a bad picture gives one line that begins with its path and contains `reason`.
void check_refused(const std::string& path, const std::string& reason) {
  CAPTURE(path);
  const std::string message = user_error_of([&] { decode_image(path); });
  CAPTURE(message);
  CHECK(message.starts_with(path + ": "));
  CHECK(message.find(reason) != std::string::npos);
  CHECK(message.find('\n') == std::string::npos);
}

void set_big_endian(std::vector<uint8_t>& bytes, size_t at, uint32_t value) {
  for (size_t i = 0; i < 4; i++) bytes[at + i] = static_cast<uint8_t>(value >> (24 - 8 * i));
}

// The offset of a JPEG's frame header (SOF0 or SOF2).
size_t frame_header(const std::vector<uint8_t>& jpeg) {
  for (size_t i = 0; i + 1 < jpeg.size(); i++)
    if (jpeg[i] == 0xff && (jpeg[i + 1] == 0xc0 || jpeg[i + 1] == 0xc2)) return i;
  return 0;
}

}  // namespace

TEST_CASE("the checksum is zlib's") {
  const std::string text = "123456789";
  CHECK(crc32(reinterpret_cast<const uint8_t*>(text.data()), text.size()) == 0xcbf43926u);
}

TEST_CASE("decoding and resizing equal Pillow") {
  ImageDecoder decoder;  // one for all, to show that a picture has no effect on the next
  Resizer resizer;
  Image image, resized;
  int seen = 0;
  for (const auto& file : expected()["files"]) {
    const std::string name = file["name"];
    if (!readable(name)) continue;
    CAPTURE(name);
    decoder.decode(fixture(name), image);
    CHECK(image.height == file["height"]);
    CHECK(image.width == file["width"]);
    CHECK(checksum(image) == file["crc"]);
    resizer.resize(image, 384, 128, resized);
    CHECK(checksum(resized) == file["crc_384x128"]);
    resizer.resize(image, 37, 20, resized);
    CHECK(checksum(resized) == file["crc_37x20"]);
    seen++;
  }
  CHECK(seen == (jpeg_supported() ? 5 : 0) + (png_supported() ? 6 : 0) + 3);
}

TEST_CASE("the content decides, not the file's ending") {
  const TemporaryFolder folder;
  if (png_supported()) {
    write_bytes(folder / "a.jpg", read_bytes(fixture("rgb.png")));
    CHECK(decode_image(folder / "a.jpg").pixels == decode_image(fixture("rgb.png")).pixels);
  }
  write_bytes(folder / "b.png", read_bytes(fixture("rgb.bmp")));
  CHECK(decode_image(folder / "b.png").pixels == decode_image(fixture("rgb.bmp")).pixels);
}

TEST_CASE("files that are no pictures") {
  const TemporaryFolder folder;
  check_refused(folder / "absent.jpg", "cannot open");
  check_refused(folder.path(), "folder");
  write_bytes(folder / "empty.jpg", {});
  check_refused(folder / "empty.jpg", "empty");
  write_bytes(folder / "text.jpg", {'h', 'e', 'l', 'l', 'o'});
  check_refused(folder / "text.jpg", "JPEG, PNG or BMP");
  write_bytes(folder / "one.jpg", {0xff});
  check_refused(folder / "one.jpg", "JPEG, PNG or BMP");
  REQUIRE(mkfifo((folder / "pipe.jpg").c_str(), 0600) == 0);
  check_refused(folder / "pipe.jpg", "nobody writes to this pipe");
  // A sparse file, which uses no disk space.
  write_bytes(folder / "large.jpg", {0xff, 0xd8, 0xff});
  std::filesystem::resize_file(folder / "large.jpg", static_cast<uintmax_t>(kMaxImageFileBytes) + 1);
  check_refused(folder / "large.jpg", "at most 256 MiB");
}

TEST_CASE("kinds of pictures that are not taken") {
  if (png_supported()) check_refused(fixture("huge.png"), "at most 67108864 pixels");
  const TemporaryFolder folder;
  auto bmp = read_bytes(fixture("rgb.bmp"));
  bmp[28] = 16;
  write_bytes(folder / "16.bmp", bmp);
  check_refused(folder / "16.bmp", "got 16");
  bmp[28] = 24, bmp[30] = 1;
  write_bytes(folder / "rle.bmp", bmp);
  check_refused(folder / "rle.bmp", "compression 1");
  bmp[30] = 0, bmp[20] = bmp[24] = 0xff;
  write_bytes(folder / "huge.bmp", bmp);
  check_refused(folder / "huge.bmp", "at most 67108864 pixels");
  bmp[21] = 0xff;
  write_bytes(folder / "negative.bmp", bmp);
  check_refused(folder / "negative.bmp", "width -");
  if (!jpeg_supported()) {
    check_refused(fixture("420.jpg"), "no JPEG support");
    return;
  }
  auto jpeg = read_bytes(fixture("420.jpg"));
  std::fill_n(jpeg.begin() + static_cast<std::ptrdiff_t>(frame_header(jpeg) + 5), 4, 0xff);
  write_bytes(folder / "huge.jpg", jpeg);
  check_refused(folder / "huge.jpg", "damaged JPEG");  // 65535 is more than libjpeg's limit
  for (size_t i = 5; i < 9; i += 2) jpeg[frame_header(jpeg) + i] = 0xf0;
  write_bytes(folder / "huge.jpg", jpeg);
  check_refused(folder / "huge.jpg", "at most 67108864 pixels");
  jpeg[frame_header(jpeg) + 4] = 12;
  write_bytes(folder / "12.jpg", jpeg);
  check_refused(folder / "12.jpg", "12");
}

TEST_CASE("truncated at any byte") {
  const TemporaryFolder folder;
  for (const std::string name :
       {"420.jpg", "422_progressive.jpg", "gray.jpg", "rgb.png", "palette.png", "palette.bmp"}) {
    if (!readable(name)) continue;
    const auto whole = read_bytes(fixture(name));
    for (size_t length = 4; length < whole.size(); length += 1 + whole.size() / 150) {
      write_bytes(folder / name, {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)});
      check_refused(folder / name, "");
    }
    write_bytes(folder / name, {whole.begin(), whole.end() - 1});
    check_refused(folder / name, "");
  }
}

TEST_CASE("damage in the middle") {
  const TemporaryFolder folder;
  if (png_supported()) {
    auto png = read_bytes(fixture("rgb.png"));
    png[png.size() / 2] ^= 1;
    write_bytes(folder / "bit.png", png);
    check_refused(folder / "bit.png", "damaged PNG");
    png = read_bytes(fixture("rgb.png"));
    set_big_endian(png, 8, 12);
    write_bytes(folder / "header.png", png);
    check_refused(folder / "header.png", "damaged PNG");
  }
  auto bmp = read_bytes(fixture("palette.bmp"));
  bmp.back() = bmp[bmp.size() - 28] = 255;  // an index beyond its palette of 200 colours
  write_bytes(folder / "palette.bmp", bmp);
  check_refused(folder / "palette.bmp", "palette");
  if (!jpeg_supported()) return;
  // Half of the entropy-coded data is replaced by the middle of a code. libjpeg alone would only warn.
  auto jpeg = read_bytes(fixture("444_restart.jpg"));
  std::fill(jpeg.begin() + static_cast<std::ptrdiff_t>(jpeg.size() / 2), jpeg.end() - 2, 0x55);
  write_bytes(folder / "scan.jpg", jpeg);
  check_refused(folder / "scan.jpg", "damaged JPEG");
}

TEST_CASE("random damage gives a picture or a UserError, and the decoder lives on") {
  const TemporaryFolder folder;
  Random random(11, Purpose::Test, 0, 0);
  ImageDecoder decoder;
  Image image;
  int refused = 0;
  for (const auto& file : expected()["files"]) {
    const std::string name = file["name"];
    if (!readable(name)) continue;
    const auto whole = read_bytes(fixture(name));
    for (int i = 0; i < 60; i++) {
      auto bytes = whole;
      const uint32_t changes = 1 + random.below(4);
      for (uint32_t k = 0; k < changes; k++)
        bytes[3 + random.below(static_cast<uint32_t>(bytes.size()) - 3)] = static_cast<uint8_t>(random.below(256));
      write_bytes(folder / name, bytes);
      refused += !user_error_of([&] { decoder.decode(folder / name, image); }).empty();
    }
    decoder.decode(fixture(name), image);
    CHECK(checksum(image) == file["crc"]);
  }
  CHECK(refused > 100);
}

TEST_CASE("nothing is printed") {
  const TemporaryFolder folder;
  auto jpeg = read_bytes(fixture("420.jpg"));
  jpeg.resize(jpeg.size() * 2 / 3);
  write_bytes(folder / "a.jpg", jpeg);
  const int saved = dup(2), file = open((folder / "stderr").c_str(), O_RDWR | O_CREAT, 0600);
  dup2(file, 2);
  user_error_of([&] { decode_image(folder / "a.jpg"); });
  std::fflush(stderr);
  dup2(saved, 2);
  close(saved), close(file);
  CHECK(std::filesystem::file_size(folder / "stderr") == 0);
}

TEST_CASE("written pictures come back") {
  const TemporaryFolder folder;
  const Image noise = formula_image(3, 19, 33);
  const auto write = [&](const std::string& path) { write_png(path, noise); };
  if (png_supported()) {
    write(folder / "a.png");
    CHECK(decode_image(folder / "a.png").pixels == noise.pixels);
    CHECK(user_error_of([&] { write(folder / "absent/a.png"); }).starts_with(folder / "absent/a.png"));
  } else {
    CHECK(user_error_of([&] { write(folder / "a.png"); }).find("no PNG support") != std::string::npos);
  }
  if (!jpeg_supported()) {
    CHECK(user_error_of([&] { write_jpeg(folder / "a.jpg", noise, 90); }).find("no JPEG support") != std::string::npos);
    return;
  }
  // Smooth ramps, which JPEG at high quality changes by a few grey levels only.
  Image ramp{40, 50, {}};
  for (int i = 0; i < 40 * 50; i++) ramp.pixels.insert(ramp.pixels.end(), 3, static_cast<uint8_t>(i / 50 * 3 + i % 50));
  write_jpeg(folder / "a.jpg", ramp, 95);
  const Image back = decode_image(folder / "a.jpg");
  CHECK(back.height == 40);
  CHECK(back.width == 50);
  int worst = 0;
  for (size_t i = 0; i < ramp.pixels.size(); i++)
    worst = std::max(worst, std::abs(int{back.pixels[i]} - int{ramp.pixels[i]}));
  CHECK(worst <= 4);
  CHECK(user_error_of([&] { write_jpeg(folder / "absent/a.jpg", ramp, 90); }).starts_with(folder / "absent/a.jpg"));
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) ==
        1 + png_supported());  // no temporary file is left
}

TEST_CASE(".npy files") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.npy";
  const auto write = [&](const std::vector<int64_t>& shape, const auto* numbers) {
    OutputFile file(path);
    write_npy(file, shape, numbers);
    file.commit();
  };
  std::vector<float> values(6);
  std::iota(values.begin(), values.end(), -2.5f);
  write({2, 3}, values.data());
  // The bytes of numpy.save: a header of 128 bytes, then the values.
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
  auto bytes = read_bytes(path);
  CHECK(bytes.size() == 128 + 24);
  CHECK(std::string(bytes.begin(), bytes.begin() + 10) == std::string("\x93NUMPY\x01\x00\x76\x00", 10));
  CHECK(std::string(bytes.begin() + 10, bytes.begin() + 128) == header + std::string(117 - header.size(), ' ') + "\n");
  const NpyFloats back = read_npy(path);
  CHECK(back.shape == std::vector<int64_t>{2, 3});
  CHECK(back.values == values);

  const auto refused = [&](const std::vector<uint8_t>& content, const std::string& reason) {
    write_bytes(path, content);
    const std::string message = user_error_of([&] { read_npy(path); });
    CAPTURE(message);
    CHECK(message.starts_with(path + ": "));
    CHECK(message.find(reason) != std::string::npos);
  };
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text(bytes.begin(), bytes.end());
    text.replace(text.find(from), from.size(), to);
    return std::vector<uint8_t>(text.begin(), text.end());
  };
  refused({bytes.begin(), bytes.end() - 1}, "shape (2, 3), got 23 bytes");
  auto longer = bytes;
  longer.push_back(0);
  refused(longer, "shape (2, 3), got 25 bytes");
  refused({bytes.begin(), bytes.begin() + 100}, "truncated");
  refused({bytes.begin(), bytes.begin() + 9}, "truncated");
  refused({}, "expected a .npy file");
  refused(changed("<f4", "<f8"), "shape (2, 3), got 24 bytes");
  refused(changed("<f4", "<i4"), "'<i4'");
  refused(changed("False", "Maybe"), "fortran_order \"Maybe\"");
  refused(changed("\x01", "\x04"), "version 1.0, 2.0 or 3.0, got 4.0");
  refused(changed("(2, 3)", "(2, 4)"), "shape (2, 4)");
  refused(changed("(2, 3), }", "(9999999999999, 9999999999999), }"), "");
  refused(changed("(2, 3)", "(2,-3)"), "shape");
  refused(changed("'shape'", "'chape'"), "no shape");

  const std::vector<uint8_t> pixels = {1, 2, 3};
  write({3}, pixels.data());
  bytes = read_bytes(path);
  CHECK(std::string(bytes.begin(), bytes.end()).find("'|u1', 'fortran_order': False, 'shape': (3,), }") == 20);
  CHECK(std::vector<uint8_t>(bytes.end() - 3, bytes.end()) == pixels);
  write({0, 5}, values.data());
  CHECK(read_npy(path).shape == std::vector<int64_t>{0, 5});
}
