// Casts and sums.
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

void accumulate(Stream, const real* from, real* to, int64_t count, Write write) {
#pragma omp parallel for simd schedule(static) if (parallel : count > kSerialCount)
  for (int64_t i = 0; i < count; i++) put(to[i], from[i], write);
}

}  // namespace mpanet::PRECISION::cpu
