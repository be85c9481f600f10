// Instance norm and the modality alleviation module's blend, per image and channel, over hw pixels of (n, hw, c).
// A thread takes one image and a slice of channels of whole cache lines, and loops over the pixels; c is contiguous.
//   n = (x - mean) rstd
//   y = m x + (1 - m) n
//   dx = m dy + (1 - m) rstd (dy - avg(dy) - n avg(dy n)) + dpooled / hw
//   dm = sum dy (x - n)
#include <algorithm>
#include <cmath>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/rows.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {
namespace {

constexpr int kSlice = 256;  // channels that a thread computes at a time

// Calls body(image, first channel, channels) for every slice of every image, in parallel; slices are independent.
template <class Body>
void for_slices(int n, int c, const Body& body) {
  const int slices = (c + kSlice - 1) / kSlice;
#pragma omp parallel for schedule(static) collapse(2)
  for (int i = 0; i < n; i++)
    for (int s = 0; s < slices; s++) body(i, s * kSlice, std::min(kSlice, c - s * kSlice));
}

}  // namespace

void instance_norm_statistics(Stream, const storage* x, int n, int hw, int c, real eps, real* mean, real* rstd) {
  for_slices(n, c, [=](int image, int first, int width) {
    const storage* xs = x + int64_t{image} * hw * c + first;
    real m[kSlice] = {}, q[kSlice] = {};
    Row<kSlice> buffer;
    for (int p = 0; p < hw; p++) {
      const real* row = buffer.read(xs + int64_t{p} * c, width);
      for (int j = 0; j < width; j++) m[j] += row[j];
    }
    for (int j = 0; j < width; j++) m[j] /= static_cast<real>(hw);
    for (int p = 0; p < hw; p++) {
      const real* row = buffer.read(xs + int64_t{p} * c, width);
      for (int j = 0; j < width; j++) {
        const real d = row[j] - m[j];
        q[j] += d * d;
      }
    }
    for (int j = 0; j < width; j++) {
      const int64_t at = int64_t{image} * c + first + j;
      mean[at] = m[j];
      rstd[at] = 1 / std::sqrt(q[j] / static_cast<real>(hw) + eps);
    }
  });
}

void instance_norm_blend(Stream, const storage* x, int n, int hw, int c, const real* mean, const real* rstd,
                         const real* mask, storage* y) {
  for_slices(n, c, [=](int image, int first, int width) {
    const int64_t base = int64_t{image} * hw * c + first, at = int64_t{image} * c + first;
    Row<kSlice> buffer_x, buffer_y;
    for (int64_t e = base; e < base + int64_t{hw} * c; e += c) {
      const real* row = buffer_x.read(x + e, width);
      real* to = buffer_y.open(y + e, width, Write::Set);
      for (int j = 0; j < width; j++) {
        const real normalised = (row[j] - mean[at + j]) * rstd[at + j];
        const real m = mask != nullptr ? mask[at + j] : 0;
        to[j] = m * row[j] + (1 - m) * normalised;
      }
      buffer_y.save(y + e, width);
    }
  });
}

void instance_norm_backward_reduce(Stream, const storage* dy, const storage* x, int n, int hw, int c, const real* mean,
                                   const real* rstd, real* sum_dy, real* sum_dyn) {
  for_slices(n, c, [=](int image, int first, int width) {
    const int64_t base = int64_t{image} * hw * c + first, at = int64_t{image} * c + first;
    real s[kSlice] = {}, sn[kSlice] = {};
    Row<kSlice> buffer_dy, buffer_x;
    for (int64_t e = base; e < base + int64_t{hw} * c; e += c) {
      const real *row_dy = buffer_dy.read(dy + e, width), *row_x = buffer_x.read(x + e, width);
      for (int j = 0; j < width; j++) {
        s[j] += row_dy[j];
        sn[j] += row_dy[j] * (row_x[j] - mean[at + j]) * rstd[at + j];
      }
    }
    std::copy_n(s, width, sum_dy + at);
    std::copy_n(sn, width, sum_dyn + at);
  });
}

// sum dy x = sum dy (n / rstd + mean)
void mam_backward_mask(Stream, int64_t count, const real* mean, const real* rstd, const real* sum_dy,
                       const real* sum_dyn, real* dmask) {
  for (int64_t i = 0; i < count; i++) dmask[i] = sum_dyn[i] / rstd[i] + mean[i] * sum_dy[i] - sum_dyn[i];
}

void instance_norm_backward_apply(Stream, const storage* dy, const storage* x, int n, int hw, int c, const real* mean,
                                  const real* rstd, const real* mask, const real* sum_dy, const real* sum_dyn,
                                  const real* dpooled, storage* dx, Write write) {
  const real inverse_hw = 1 / static_cast<real>(hw);
  for_slices(n, c, [=](int image, int first, int width) {
    const int64_t base = int64_t{image} * hw * c + first, at = int64_t{image} * c + first;
    Row<kSlice> buffer_dy, buffer_x, buffer_dx;
    for (int64_t e = base; e < base + int64_t{hw} * c; e += c) {
      const real *row_dy = buffer_dy.read(dy + e, width), *row_x = buffer_x.read(x + e, width);
      real* to = buffer_dx.open(dx + e, width, write);
      for (int j = 0; j < width; j++) {
        const int64_t k = at + j;
        const real g = row_dy[j], normalised = (row_x[j] - mean[k]) * rstd[k];
        const real m = mask != nullptr ? mask[k] : 0;
        real v = m * g + (1 - m) * rstd[k] * (g - inverse_hw * sum_dy[k] - inverse_hw * sum_dyn[k] * normalised);
        if (dpooled != nullptr) v += inverse_hw * dpooled[k];
        put(to[j], v, write);
      }
      buffer_dx.save(dx + e, width);
    }
  });
}

}  // namespace mpanet::PRECISION::cpu
