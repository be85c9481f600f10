// The content of guard zones: a repeated 16-bit pattern. It is NaN as double, float, bfloat16 and float16, and larger
// than every index and count as an integer. Neighbouring blocks have different patterns, so that a copy from the zone
// of one block into the zone of another is found too.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace mpanet {

// The pattern of block `number`: 0x7ff8..0x7fff and 0xfff8..0xffff, repeated.
constexpr uint16_t guard_pattern(uint64_t number) {
  return static_cast<uint16_t>(0x7ff8u | (number & 7u) | (number & 8u) << 12);
}

// The byte at offset `at` from the begin of a block, whose address is even.
constexpr unsigned char guard_byte(uint16_t pattern, size_t at) {
  return static_cast<unsigned char>(at % 2 == 0 ? pattern & 0xffu : pattern >> 8);
}

inline void fill_guard(unsigned char* zone, size_t bytes, uint16_t pattern, size_t at = 0) {
  const unsigned char two[] = {guard_byte(pattern, at), guard_byte(pattern, at + 1)};
  for (size_t i = 0; i + 2 <= bytes; i += 2) std::memcpy(zone + i, two, 2);
  if (bytes % 2 == 1) zone[bytes - 1] = two[0];
}

}  // namespace mpanet
