// Helpers for the tests of pictures: computed pictures, and the expected results of
// fixtures/images/make.py.
#pragma once
#include <unistd.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "core/base/error.h"
#include "core/base/file.h"
#include "data/pictures/codecs.h"
#include "data/pictures/image.h"
#include "tests/support/temporary_folder.h"

namespace mpanet {

inline std::string fixture(const std::string& name) { return TEST_FIXTURES "/images/" + name; }

inline const nlohmann::json& expected() {
  static const nlohmann::json json = nlohmann::json::parse(read_text(fixture("expected.json")));
  return json;
}

// The same as formula_image() in make.py: noise for odd seeds, ramps for even ones.
inline Image formula_image(uint32_t seed, int height, int width) {
  Image image{height, width, {}};
  for (uint32_t y = 0; y < static_cast<uint32_t>(height); y++)
    for (uint32_t x = 0; x < static_cast<uint32_t>(width); x++)
      for (uint32_t c = 0; c < 3; c++) {
        uint32_t h = y * 2654435761u ^ x * 2246822519u ^ c * 3266489917u ^ seed * 668265263u;
        h ^= h >> 15;
        h *= 2246822519u;
        h ^= h >> 13;
        image.pixels.push_back(static_cast<uint8_t>(seed % 2 == 0 ? y * 3 + x * 5 + c * 85 + seed : h >> 24));
      }
  return image;
}

// CRC-32 of zlib and PNG (polynomial 0xEDB88320, reflected).
inline uint32_t crc32(const uint8_t* bytes, size_t count) {
  static const auto table = [] {
    std::array<uint32_t, 256> made{};
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t c = i;
      for (int bit = 0; bit < 8; bit++) c = (c & 1) ? 0xEDB88320u ^ (c >> 1) : c >> 1;
      made[i] = c;
    }
    return made;
  }();
  uint32_t c = 0xffffffffu;
  for (size_t i = 0; i < count; i++) c = table[(c ^ bytes[i]) & 255] ^ (c >> 8);
  return ~c;
}

inline uint32_t checksum(const Image& image) { return crc32(image.pixels.data(), image.pixels.size()); }
inline uint32_t checksum(const float* values, size_t count) {
  return crc32(reinterpret_cast<const uint8_t*>(values), count * sizeof(float));
}

inline void write_bytes(const std::string& path, const std::vector<uint8_t>& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

// Writes 24 bits a pixel, the last row first. Every build can read this format.
inline void write_bmp(const std::string& path, const Image& image) {
  const size_t width = static_cast<size_t>(image.width), height = static_cast<size_t>(image.height);
  const size_t stride = (width * 3 + 3) / 4 * 4;
  std::vector<uint8_t> bytes(54 + stride * height);
  const auto put = [&](size_t at, size_t value) {
    for (int i = 0; i < 4; i++) bytes[at + static_cast<size_t>(i)] = static_cast<uint8_t>(value >> (8 * i));
  };
  bytes[0] = 'B', bytes[1] = 'M';
  put(2, bytes.size()), put(10, 54), put(14, 40), put(18, width), put(22, height), put(26, 1 | 24 << 16);
  for (size_t y = 0; y < height; y++)
    for (size_t x = 0; x < width; x++)
      for (size_t c = 0; c < 3; c++)
        bytes[54 + (height - 1 - y) * stride + x * 3 + 2 - c] = image.pixels[(y * width + x) * 3 + c];
  write_bytes(path, bytes);
}

// The message of the UserError that `action` throws; "" when it throws nothing. Other exceptions pass through.
inline std::string user_error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

// Whether this build can read a fixture of this name.
inline bool readable(const std::string& name) {
  return (jpeg_supported() || !name.ends_with(".jpg")) && (png_supported() || !name.ends_with(".png"));
}

}  // namespace mpanet
