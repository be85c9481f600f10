// Batch norm of features (n, d) in real: few rows, many columns. Each thread takes some columns, and a column's sums
// run over the rows in order.
#include <cmath>

#include "core/base/error.h"
#include "kernels/cpu/convert.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {
namespace {

constexpr int kSlice = 64;

// Runs body(first column, column count) for slices of columns.
template <class Body>
void for_each_slice(int n, int d, const Body& body) {
  const int slices = static_cast<int>(divide_up(d, kSlice));
#pragma omp parallel for schedule(static) if (int64_t{n} * d > kSerialCount)
  for (int slice = 0; slice < slices; slice++) body(slice * kSlice, std::min(kSlice, d - slice * kSlice));
}

}  // namespace

void feature_norm_forward(Stream, const real* f, int n, int d, bool training, real eps, real momentum,
                          const real* weight, const real* bias, real* running_mean, real* running_variance, real* mean,
                          real* rstd, real* g) {
  MPANET_CHECK(!training || n > 1, "expected more than one row in training, got {}", n);
  for_each_slice(n, d, [&](int first, int width) {
    real center[kSlice] = {}, variance[kSlice] = {}, inverse[kSlice];
    if (training) {
      for (int i = 0; i < n; i++)
        for (int j = 0; j < width; j++) center[j] += f[int64_t{i} * d + first + j];
      for (int j = 0; j < width; j++) center[j] /= static_cast<real>(n);
      for (int i = 0; i < n; i++) {
        for (int j = 0; j < width; j++) {
          const real delta = f[int64_t{i} * d + first + j] - center[j];
          variance[j] += delta * delta;
        }
      }
      for (int j = 0; j < width; j++) {
        real& average = running_mean[first + j];
        real& spread = running_variance[first + j];
        average = (1 - momentum) * average + momentum * center[j];
        spread = (1 - momentum) * spread + momentum * (variance[j] / static_cast<real>(n - 1));
        variance[j] /= static_cast<real>(n);
      }
    } else {
      std::copy_n(running_mean + first, width, center);
      std::copy_n(running_variance + first, width, variance);
    }
    for (int j = 0; j < width; j++) inverse[j] = real{1} / std::sqrt(variance[j] + eps);
    for (int i = 0; i < n; i++) {
      const int64_t row = int64_t{i} * d + first;
      for (int j = 0; j < width; j++)
        g[row + j] = (f[row + j] - center[j]) * inverse[j] * weight[first + j] + bias[first + j];
    }
    if (mean != nullptr) std::copy_n(center, width, mean + first);
    if (rstd != nullptr) std::copy_n(inverse, width, rstd + first);
  });
}

void feature_norm_backward(Stream, const real* dg, const real* f, int n, int d, bool training, const real* weight,
                           const real* mean, const real* rstd, real* df, Write write, real* dweight,
                           Write dweight_write, real* dbias, Write dbias_write) {
  for_each_slice(n, d, [&](int first, int width) {
    real sum[kSlice] = {}, product[kSlice] = {};  // of dg, of dg times the normalised f
    for (int i = 0; i < n; i++) {
      const int64_t row = int64_t{i} * d + first;
      for (int j = 0; j < width; j++) {
        sum[j] += dg[row + j];
        product[j] += dg[row + j] * ((f[row + j] - mean[first + j]) * rstd[first + j]);
      }
    }
    for (int j = 0; j < width; j++) {
      if (dweight != nullptr) put(dweight[first + j], product[j], dweight_write);
      if (dbias != nullptr) put(dbias[first + j], sum[j], dbias_write);
      // In eval mode the statistics are constants, without gradient.
      sum[j] = training ? sum[j] / static_cast<real>(n) : real{0};
      product[j] = training ? product[j] / static_cast<real>(n) : real{0};
    }
    for (int i = 0; i < n; i++) {
      const int64_t row = int64_t{i} * d + first;
      for (int j = 0; j < width; j++) {
        const real normalised = (f[row + j] - mean[first + j]) * rstd[first + j];
        put(df[row + j], weight[first + j] * rstd[first + j] * (dg[row + j] - sum[j] - normalised * product[j]), write);
      }
    }
  });
}

}  // namespace mpanet::PRECISION::cpu
