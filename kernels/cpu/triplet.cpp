// Batch-hard triplet loss on features f (n, d):
//   1/n sum_i max(0, margin + d_ip - d_in), p the farthest sample of i's identity (i itself is one), n the nearest of
//   another, d_ij = sqrt(max(|f_i - f_j|^2, 1e-12)); no gradient through a clamped distance
#include <algorithm>
#include <cmath>

#include "kernels/cpu/convert.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {
namespace {

constexpr double kClamp = 1e-12;

real distance_between(const real* a, const real* b, int d) {
  real s = 0;
#pragma omp simd reduction(+ : s)
  for (int k = 0; k < d; k++) s += (a[k] - b[k]) * (a[k] - b[k]);
  return std::sqrt(std::max(s, static_cast<real>(kClamp)));
}

real hinge(const real* distance, const int32_t* hardest, int n, int i, real margin) {
  const int32_t p = hardest[2 * i], q = hardest[2 * i + 1];
  return q < 0 ? -1 : margin + distance[int64_t{i} * n + p] - distance[int64_t{i} * n + q];
}

// Adds factor * (from - other) / distance to `to`, unless the distance is clamped.
void add_direction(const real* from, const real* other, real distance, real factor, int d, real* to) {
  if (distance * distance <= static_cast<real>(kClamp) * static_cast<real>(1.0001)) return;
  const real scale = factor / distance;
  for (int k = 0; k < d; k++) to[k] += scale * (from[k] - other[k]);
}

}  // namespace

void triplet_forward(Stream, const real* f, const int32_t* labels, int n, int d, real margin, real* distance,
                     int32_t* hardest, real* loss, void*) {
#pragma omp parallel for schedule(dynamic)
  for (int i = 0; i < n; i++) {
    int32_t p = i, q = -1;
    const real* row = distance + int64_t{i} * n;
    for (int j = 0; j < n; j++)
      distance[int64_t{i} * n + j] = distance_between(f + int64_t{i} * d, f + int64_t{j} * d, d);
    for (int j = 0; j < n; j++) {
      if (labels[j] == labels[i]) {
        if (row[j] > row[p]) p = j;
      } else if (q < 0 || row[j] < row[q]) {
        q = j;
      }
    }
    hardest[2 * i] = p;
    hardest[2 * i + 1] = q;
  }
  real sum = 0;
  for (int i = 0; i < n; i++) sum += rectify(hinge(distance, hardest, n, i, margin));
  *loss = sum / static_cast<real>(n);
}

// Row j's gradient has a term from its own triplet and from every triplet in which it is p or n, added in row order.
void triplet_backward(Stream, const real* dloss, const real* f, int n, int d, real margin, const real* distance,
                      const int32_t* hardest, Rows rows, real* df, Write write) {
  const real factor = *dloss / static_cast<real>(n);
#pragma omp parallel for schedule(dynamic)
  for (int j = rows.begin; j < rows.begin + rows.count; j++) {
    real* to = df + int64_t{j - rows.begin} * d;
    const real* fj = f + int64_t{j} * d;
    if (write == Write::Set) std::fill_n(to, d, real(0));
    for (int i = 0; i < n; i++) {
      if (!(hinge(distance, hardest, n, i, margin) >= 0)) continue;
      const int32_t p = hardest[2 * i], q = hardest[2 * i + 1];
      const real *fp = f + int64_t{p} * d, *fq = f + int64_t{q} * d, *fi = f + int64_t{i} * d;
      const real dp = distance[int64_t{i} * n + p], dq = distance[int64_t{i} * n + q];
      if (i == j) {
        add_direction(fj, fp, dp, factor, d, to);
        add_direction(fj, fq, dq, -factor, d, to);
      }
      if (p == j) add_direction(fj, fi, dp, factor, d, to);
      if (q == j) add_direction(fj, fi, dq, -factor, d, to);
    }
  }
}

}  // namespace mpanet::PRECISION::cpu
