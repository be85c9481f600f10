// The finite check of gradients.
#include <algorithm>
#include <cmath>

#include "kernels/cpu/convert.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {

void check_finite(Stream, const real* x, int64_t count, int32_t* finite) {
  int good = 1;
#pragma omp parallel for schedule(static) reduction(min : good) if (count > kSerialCount)
  for (int64_t i = 0; i < count; i++) good = std::min(good, std::isfinite(x[i]) ? 1 : 0);
  if (good == 0) *finite = 0;
}

}  // namespace mpanet::PRECISION::cpu
