// Casts.
#include <bit>

#include "kernels/cpu/convert.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {
void cast_to_storage(Stream, const real* from, storage* to, int64_t count) {
#pragma omp parallel for simd schedule(static) if (parallel : count > kSerialCount)
  for (int64_t i = 0; i < count; i++) to[i] = store<storage>(from[i]);
}

void cast_images(Stream, const float* from, storage* to, int64_t count) {
#pragma omp parallel for simd schedule(static) if (parallel : count > kSerialCount)
  for (int64_t i = 0; i < count; i++) to[i] = store<storage>(static_cast<real>(from[i]));
}

// Adding half of the last kept bit carries into it, and into the exponent, as rounding does.
void round_to_tf32(Stream, const float* from, float* to, int64_t count) {
#pragma omp parallel for simd schedule(static) if (parallel : count > kSerialCount)
  for (int64_t i = 0; i < count; i++) {
    const uint32_t bits = std::bit_cast<uint32_t>(from[i]);
    const bool finite = (bits & 0x7f800000u) != 0x7f800000u;
    to[i] = std::bit_cast<float>(finite ? (bits + 0x1000u) & 0xffffe000u : bits);
  }
}

}  // namespace mpanet::PRECISION::cpu
