// Kernels for embeddings that stay on the device. Evaluation on a CPU uses kernels/cpu/packed_rows.h instead; tests
// compare other backends with these kernels.
#include "kernels/embeddings.h"

#include "kernels/cpu/convert.h"

namespace mpanet::PRECISION::cpu {

void keep_embeddings(Stream, const real* from, int64_t count, bool mean, float* to) {
#pragma omp parallel for schedule(static) if (count > kSerialCount)
  for (int64_t i = 0; i < count; i++) {
    const auto value = static_cast<float>(from[i]);
    to[i] = mean ? (to[i] + value) / 2 : value;
  }
}

void squared_lengths(Stream, const float* x, int64_t rows, int d, double* squares) {
#pragma omp parallel for schedule(static) if (rows * d > kSerialCount)
  for (int64_t r = 0; r < rows; r++) {
    double sum = 0;
    for (int i = 0; i < d; i++) sum += static_cast<double>(x[r * d + i]) * x[r * d + i];
    squares[r] = sum;
  }
}

void scale_rows(Stream, const float* x, const int32_t* index, const double* factors, int64_t rows, int d, real* y) {
#pragma omp parallel for schedule(static) if (rows * d > kSerialCount)
  for (int64_t r = 0; r < rows; r++)
    for (int i = 0; i < d; i++) y[r * d + i] = static_cast<real>(x[int64_t{index[r]} * d + i] * factors[r]);
}

}  // namespace mpanet::PRECISION::cpu
