// Casts from real, and of pictures from float, to storage.
#include "kernels/cpu/convert.h"
#include "kernels/cpu/rows.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {

void cast_to_storage(Stream, const real* from, storage* to, int64_t count) {
  for_each_run(count, [=](int64_t first, int64_t length) { narrow(from + first, length, to + first); });
}

void cast_images(Stream, const float* from, storage* to, int64_t count) {
  for_each_run(count, [=](int64_t first, int64_t length) { narrow(from + first, length, to + first); });
}

}  // namespace mpanet::PRECISION::cpu
