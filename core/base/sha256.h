// SHA-256 (FIPS 180-4), as sha256sum prints it. Results identify their checkpoint with it.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace mpanet {

class Sha256 {
 public:
  void add(const void* data, size_t bytes);
  // 64 hexadecimal digits. No bytes can be added afterwards.
  std::string hex();

 private:
  void take_block(const uint8_t* block);

  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, 64> rest_{};  // bytes of an incomplete block
  uint64_t bytes_ = 0;
};

std::string sha256(std::string_view text);
// The hash of a file, which is read in pieces. UserError: see InputFile.
std::string sha256_of_file(const std::string& path);

}  // namespace mpanet
