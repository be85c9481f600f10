// Center cluster loss (paper section 3.4). K identities in the batch, identity k's center c_k the mean of its n_k rows:
//   loss = 1/n sum_i |f_i - c_{y_i}| + 1/K sum_k 1/(K-1) sum_{l != k} max(0, margin - |c_k - c_l|)
// Gradients flow through the means. With u_i = (f_i - c_{y_i}) / |f_i - c_{y_i}| (0 where the two are equal):
//   df_j = (u_j - mean of u over j's identity) / n + dc_{y_j} / n_{y_j}
//   dc_k = -2 / (K (K-1)) sum over l nearer than the margin of (c_k - c_l) / |c_k - c_l| (0 where they coincide)
#include <cmath>

#include "kernels/cpu/convert.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {
namespace {

// Points with smaller squared distances count as equal: the gradient is 0.
constexpr double kSamePull = 1e-24, kSameGap = 1e-12;

real squared_distance(const real* a, const real* b, int d) {
  real s = 0;
#pragma omp simd reduction(+ : s)
  for (int k = 0; k < d; k++) s += (a[k] - b[k]) * (a[k] - b[k]);
  return s;
}

int count_groups(const int32_t* group, int n) {
  int groups = 0;
  for (int i = 0; i < n; i++) groups += group[i] == i;
  return groups;
}

void find_groups(const int32_t* labels, int n, int32_t* group, int32_t* size) {
  for (int i = 0; i < n; i++) {
    int first = 0;
    while (labels[first] != labels[i]) first++;
    group[i] = first;
    size[i] = 0;
    for (int j = 0; j < n; j++) size[i] += labels[j] == labels[i];
  }
}

// center = first row + mean of (row - first row). If an identity's features are equal, its center is exactly that row,
// for every number of rows, so that coinciding centers are equal in every bit.
void find_centers(const real* f, const int32_t* group, const int32_t* size, int n, int d, real* centers) {
#pragma omp parallel for schedule(dynamic)
  for (int i = 0; i < n; i++) {
    if (group[i] != i) continue;
    real* c = centers + int64_t{i} * d;
    const real* first = f + int64_t{i} * d;
    for (int k = 0; k < d; k++) c[k] = 0;
    for (int j = i + 1; j < n; j++)
      if (group[j] == i)
        for (int k = 0; k < d; k++) c[k] += f[int64_t{j} * d + k] - first[k];
    for (int k = 0; k < d; k++) c[k] = first[k] + c[k] / static_cast<real>(size[i]);
  }
}

// to += factor * dc_k, the gradient of the pairs with center k.
void add_push_gradient(const int32_t* group, const real* centers, const real* gap, int n, int d, int k, real margin,
                       real factor, real* to) {
  for (int l = 0; l < n; l++) {
    const real g = gap[int64_t{k} * n + l];
    if (group[l] != l || l == k || g == 0 || !(margin - g >= 0)) continue;
    const real scale = -factor / g;
    const real *ck = centers + int64_t{k} * d, *cl = centers + int64_t{l} * d;
    for (int e = 0; e < d; e++) to[e] += scale * (ck[e] - cl[e]);
  }
}

}  // namespace

size_t metric_workspace_bytes(int, int) { return 0; }

void center_cluster_forward(Stream, const real* f, const int32_t* labels, int n, int d, real margin, int32_t* group,
                            int32_t* size, real* centers, real* pull, real* gap, real* loss, void*) {
  find_groups(labels, n, group, size);
  find_centers(f, group, size, n, d, centers);
  const int groups = count_groups(group, n);
#pragma omp parallel for schedule(dynamic)
  for (int i = 0; i < n; i++) {
    const real s = squared_distance(f + int64_t{i} * d, centers + int64_t{group[i]} * d, d);
    pull[i] = s < static_cast<real>(kSamePull) ? 0 : std::sqrt(s);
    for (int l = 0; l < n; l++) {
      real& g = gap[int64_t{i} * n + l];
      g = 0;
      if (group[i] != i || group[l] != l || l == i) continue;
      const real t = squared_distance(centers + int64_t{i} * d, centers + int64_t{l} * d, d);
      g = t < static_cast<real>(kSameGap) ? 0 : std::sqrt(t);
    }
  }
  real pulls = 0, pushes = 0;
  for (int i = 0; i < n; i++) pulls += pull[i];
  for (int i = 0; i < n; i++)
    for (int l = 0; l < n; l++)
      if (group[i] == i && group[l] == l && l != i) pushes += std::fmax(real(0), margin - gap[int64_t{i} * n + l]);
  *loss = pulls / static_cast<real>(n);
  if (groups > 1) *loss += pushes / (static_cast<real>(groups) * static_cast<real>(groups - 1));
}

void center_cluster_backward(Stream, const real* dloss, const real* f, int n, int d, real margin, const int32_t* group,
                             const int32_t* size, const real* centers, const real* pull, const real* gap, Rows rows,
                             real* df, Write write) {
  const int groups = count_groups(group, n);
  const real pull_factor = *dloss / static_cast<real>(n);
  const real push_factor =
      groups > 1 ? 2 * *dloss / (static_cast<real>(groups) * static_cast<real>(groups - 1)) : real(0);
#pragma omp parallel for schedule(dynamic)
  for (int j = rows.begin; j < rows.begin + rows.count; j++) {
    const int k = group[j];
    const real* c = centers + int64_t{k} * d;
    real* to = df + int64_t{j - rows.begin} * d;
    if (write == Write::Set)
      for (int e = 0; e < d; e++) to[e] = 0;
    for (int i = 0; i < n; i++) {  // f_j is in u_i directly (i = j) and through the mean
      if (group[i] != k || pull[i] == 0) continue;
      const real* fi = f + int64_t{i} * d;
      const real weight = pull_factor / pull[i] * ((i == j ? 1 : 0) - 1 / static_cast<real>(size[j]));
      for (int e = 0; e < d; e++) to[e] += weight * (fi[e] - c[e]);
    }
    add_push_gradient(group, centers, gap, n, d, k, margin, push_factor / static_cast<real>(size[j]), to);
  }
}

}  // namespace mpanet::PRECISION::cpu
