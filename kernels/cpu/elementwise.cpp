// Casts.
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

}  // namespace mpanet::PRECISION::cpu
