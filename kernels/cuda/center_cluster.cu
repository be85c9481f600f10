// Center cluster loss (paper section 3.4). K identities in the batch, identity k's center c_k the mean of its n_k rows:
//   loss = 1/n sum_i |f_i - c_{y_i}| + 1/K sum_k 1/(K-1) sum_{l != k} max(0, margin - |c_k - c_l|)
// Gradients flow through the means. With u_i = (f_i - c_{y_i}) / |f_i - c_{y_i}| (0 where the two are equal):
//   df_j = (u_j - mean of u over j's identity) / n + dc_{y_j} / n_{y_j}
//   dc_k = -2 / (K (K-1)) sum over l nearer than the margin of (c_k - c_l) / |c_k - c_l| (0 where they coincide)
//
// The device finds the rows of each identity. Every launch has blocks for n identities, one per row; those of a row
// that is not the first of its identity return immediately.
//   centers    block = one identity, 128 packs of columns: the mean of its rows, and their squared distances to it
//   gaps       all pairs of centers (features.cuh)
//   loss       one block adds all parts in a fixed order
//   backward   block = one identity, 128 packs of columns: sum of u and dc_k in registers, then a gradient per row
//
// Bytes, f (n, d) and K centers of real: must move forward f + K d, backward f + K d and the gradient.
//   forward    f once from DRAM (again from L1 or L2 for the distances), the centers written and read once from L2;
//              partial sums of n d / (32 N) + K^2 d / 256 reals (N lanes a pack): under 1 % of f
//   backward   f once from DRAM, again from L1 or L2; each center once, and once more per center nearer than the margin
//              (from L2); the gradient written once
#include "kernels/cuda/features.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

// Points with smaller squared distances count as equal: the gradient is 0.
constexpr double kSamePull = 1e-24, kSameGap = 1e-12;
constexpr int kThreads = 128, kLossThreads = 512;

// Number of slices of columns of f; each warp sums one slice to one partial sum.
inline int pull_slices(int d, int lanes) {
  return static_cast<int>(divide_up(d, kThreads * lanes) * (kThreads / kWarp));
}

struct GapOf {
  __device__ real operator()(real squared) const {
    return squared < static_cast<real>(kSameGap) ? real{0} : sqrt(squared);
  }
};

// center = first row + mean of (row - first row). If an identity's features are equal, its center is exactly that row,
// for every number of rows, so that coinciding centers are equal in every bit. pull_partial (slices, n).
template <int N>
__global__ void __launch_bounds__(kThreads)
    centers_kernel(const real* f, const int32_t* labels, int n, int d, int32_t* group, int32_t* size, real* centers,
                   real* pull_partial) {
  RowList<kThreads>& list = shared_memory<RowList<kThreads>>();
  const int first = blockIdx.x, thread = threadIdx.x;
  const int32_t label = labels[first];
  bool earlier = false;
  for (int row = thread; row < first; row += kThreads) earlier |= labels[row] == label;
  if (__syncthreads_or(earlier)) return;

  const int column = (static_cast<int>(blockIdx.y) * kThreads + thread) * N;
  const bool inside = column < d;
  const auto same = [&](int row) { return labels[row] == label; };
  const auto columns_of = [&](int row) {
    return inside ? load_pack<N>(f + int64_t{row} * d + column) : Pack<real, N>{};
  };
  const Pack<real, N> start = columns_of(first);
  Pack<real, N> center{};
  int members = 1;
  each_chosen_row(first + 1, n, list, same, [&](int row) {
    const Pack<real, N> x = columns_of(row);
    for (int j = 0; j < N; j++) center.lane[j] += x.lane[j] - start.lane[j];
    members++;
  });
  for (int j = 0; j < N; j++) center.lane[j] = start.lane[j] + center.lane[j] / static_cast<real>(members);
  if (inside) store_pack(centers + int64_t{first} * d + column, center);

  const int slice = static_cast<int>(blockIdx.y) * (kThreads / kWarp) + thread / kWarp;
  each_chosen_row(first, n, list, same, [&](int row) {
    const Pack<real, N> x = columns_of(row);
    real sum = 0;
    for (int j = 0; j < N; j++) sum += (x.lane[j] - center.lane[j]) * (x.lane[j] - center.lane[j]);
    sum = warp_reduce(sum);
    if (thread % kWarp == 0) pull_partial[int64_t{slice} * n + row] = sum;
    if (blockIdx.y == 0 && thread == 0) group[row] = first, size[row] = members;
  });
}

struct LossShared {
  real values[kWarp];
  int counts[kWarp];
};

__global__ void __launch_bounds__(kLossThreads)
    loss_kernel(const real* pull_partial, int slices, const int32_t* group, const real* gap, int n, real margin,
                real* pull, real* loss) {
  LossShared& s = shared_memory<LossShared>();
  real pulls = 0, pushes = 0;
  int groups = 0;
  for (int row = threadIdx.x; row < n; row += kLossThreads) {
    const real sum = sum_in_order(pull_partial + row, slices, n);
    pull[row] = sum < static_cast<real>(kSamePull) ? real{0} : sqrt(sum);
    pulls += pull[row];
    groups += group[row] == row;
  }
  for (int row = threadIdx.x / kWarp; row < n; row += kLossThreads / kWarp) {
    if (group[row] != row) continue;
    for (int other = threadIdx.x % kWarp; other < n; other += kWarp)
      if (other != row && group[other] == other) pushes += rectify(margin - gap[int64_t{row} * n + other]);
  }
  pulls = block_reduce(pulls, s.values);
  pushes = block_reduce(pushes, s.values);
  groups = block_reduce(groups, s.counts);
  if (threadIdx.x > 0) return;
  const real pairs = static_cast<real>(groups) * static_cast<real>(groups - 1);
  *loss = pulls / static_cast<real>(n) + (groups > 1 ? pushes / pairs : real{0});
}

struct BackwardShared {
  RowList<kThreads> list;
  int counts[kWarp];
};

template <int N>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(const real* dloss, const real* f, int n, int d, real margin, const int32_t* group,
                    const int32_t* size, const real* centers, const real* pull, const real* gap, Rows rows, real* df,
                    Write write) {
  BackwardShared& s = shared_memory<BackwardShared>();
  const int k = blockIdx.x;
  if (group[k] != k) return;
  int groups = 0;
  for (int row = threadIdx.x; row < n; row += kThreads) groups += group[row] == row;
  groups = block_reduce(groups, s.counts);
  const real slope = *dloss, members = static_cast<real>(size[k]);
  const real pull_factor = slope / static_cast<real>(n), mean_factor = pull_factor / members;
  const real pairs = static_cast<real>(groups) * static_cast<real>(groups - 1);
  const real push_factor = groups > 1 ? 2 * slope / (pairs * members) : real{0};

  const int column = static_cast<int>(blockIdx.y * kThreads + threadIdx.x) * N;
  const bool inside = column < d;
  const auto columns_of = [&](const real* matrix, int row) {
    return inside ? load_pack<N>(matrix + int64_t{row} * d + column) : Pack<real, N>{};
  };
  const Pack<real, N> center = columns_of(centers, k);
  Pack<real, N> common{};  // the part of the gradient that is equal for all rows of the identity
  const auto moved = [&](int row, real& weight) {
    weight = -mean_factor / pull[row];
    return group[row] == k && pull[row] != 0;
  };
  each_weighted_row(k, n, s.list, moved, [&](int row, real weight) {
    const Pack<real, N> x = columns_of(f, row);
    for (int j = 0; j < N; j++) common.lane[j] += weight * (x.lane[j] - center.lane[j]);
  });
  const auto near = [&](int other, real& weight) {
    const real g = gap[int64_t{k} * n + other];
    weight = -push_factor / g;
    return group[other] == other && other != k && g != 0 && margin - g >= 0;
  };
  each_weighted_row(0, n, s.list, near, [&](int other, real weight) {
    const Pack<real, N> x = columns_of(centers, other);
    for (int j = 0; j < N; j++) common.lane[j] += weight * (center.lane[j] - x.lane[j]);
  });
  const auto local = [&](int row, real& weight) {
    weight = pull[row] == 0 ? real{0} : pull_factor / pull[row];
    return group[row] == k && row >= rows.begin && row < rows.begin + rows.count;
  };
  each_weighted_row(k, n, s.list, local, [&](int row, real weight) {
    if (!inside) return;
    Pack<real, N> g = common;
    if (weight != 0) {
      const Pack<real, N> x = columns_of(f, row);
      for (int j = 0; j < N; j++) g.lane[j] += weight * (x.lane[j] - center.lane[j]);
    }
    put_lanes(df + int64_t{row - rows.begin} * d + column, g.lane, write);
  });
}

dim3 identity_grid(int n, int d, int lanes) {
  return {static_cast<unsigned>(n), static_cast<unsigned>(divide_up(d, kThreads * lanes)), 1};
}

}  // namespace

size_t metric_workspace_bytes(int n, int d) {
  return static_cast<size_t>(pair_partials(n, d) + int64_t{pull_slices(d, 1)} * n) * sizeof(real);
}

void center_cluster_forward(Stream stream, const real* f, const int32_t* labels, int n, int d, real margin,
                            int32_t* group, int32_t* size, real* centers, real* pull, real* gap, real* loss,
                            void* workspace) {
  KERNEL_CHECK(n > 0 && d > 0, "a batch of features");
  real* pair_sums = static_cast<real*>(workspace);
  real* pull_sums = pair_sums + pair_partials(n, d);
  const bool packed = real_packs_fit(d, f, centers);
  with_real_lanes(packed, [&](auto lanes) {
    LAUNCH((centers_kernel<lanes()>), identity_grid(n, d, lanes), kThreads, sizeof(RowList<kThreads>), stream, f,
           labels, n, d, group, size, centers, pull_sums);
  });
  pair_distances<GapOf>(stream, centers, group, n, d, pair_sums, gap);
  LAUNCH(loss_kernel, 1, kLossThreads, sizeof(LossShared), stream, pull_sums, pull_slices(d, packed ? kFull<real> : 1),
         group, gap, n, margin, pull, loss);
}

void center_cluster_backward(Stream stream, const real* dloss, const real* f, int n, int d, real margin,
                             const int32_t* group, const int32_t* size, const real* centers, const real* pull,
                             const real* gap, Rows rows, real* df, Write write) {
  KERNEL_CHECK(n > 0 && d > 0, "a batch of features");
  with_real_lanes(real_packs_fit(d, f, centers, df), [&](auto lanes) {
    LAUNCH((backward_kernel<lanes()>), identity_grid(n, d, lanes), kThreads, sizeof(BackwardShared), stream, dloss, f,
           n, d, margin, group, size, centers, pull, gap, rows, df, write);
  });
}

}  // namespace mpanet::PRECISION::KERNEL_NS
