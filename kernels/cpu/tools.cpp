// Kernels for training besides the network: norms, the finite check, layouts.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/convert.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {

size_t l2_norm_workspace_bytes(int64_t) { return 0; }

void l2_norm(Stream, const real* x, int64_t count, real* norm, void*) {
  double sum = 0;
  for (int64_t i = 0; i < count; i++) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  *norm = static_cast<real>(std::sqrt(sum));
}

void check_finite(Stream, const real* x, int64_t count, int32_t* finite) {
  int good = 1;
#pragma omp parallel for schedule(static) reduction(min : good) if (count > kSerialCount)
  for (int64_t i = 0; i < count; i++) good = std::min(good, std::isfinite(x[i]) ? 1 : 0);
  if (good == 0) *finite = 0;
}

void transpose(Stream, const real* from, int64_t batch, int64_t rows, int64_t columns, real* to) {
#pragma omp parallel for collapse(2) schedule(static) if (batch * rows * columns > kSerialCount)
  for (int64_t b = 0; b < batch; b++)
    for (int64_t j = 0; j < columns; j++)
      for (int64_t i = 0; i < rows; i++) to[(b * columns + j) * rows + i] = from[(b * rows + i) * columns + j];
}

}  // namespace mpanet::PRECISION::cpu
