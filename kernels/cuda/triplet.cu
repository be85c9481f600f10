// Batch-hard triplet loss on features f (n, d):
//   1/n sum_i max(0, margin + d_ip - d_in), p the farthest sample of i's identity (i itself is one), n the nearest of
//   another, d_ij = sqrt(max(|f_i - f_j|^2, 1e-12)); no gradient through a clamped distance
// Of rows with equal distances the first is chosen, except that p is i itself if no other row is farther.
//   distance   all pairs of rows (features.cuh)
//   loss       one block, a warp per row: p and n, then the sum of the hinges in a fixed order
//   backward   block = one local row, 128 packs of columns; the row's gradient has a term from its own triplet and from
//              every triplet in which it is p or n, added in row order
//
// Bytes, f (n, d) of real: must move f forward, f and the gradient backward.
//   forward    f once from DRAM, and n / 64 times from L2; partial sums of n^2 d / 512 reals (n / 512 of f), written
//   and
//              read once, in L2
//   backward   f once from DRAM, and up to 4 rows more per row from L2; the gradient written once
#include "kernels/cuda/features.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr double kClamp = 1e-12;
constexpr int kThreads = 128, kLossThreads = 1024;

struct DistanceOf {
  __device__ real operator()(real squared) const {
    return sqrt(squared < static_cast<real>(kClamp) ? static_cast<real>(kClamp) : squared);
  }
};

// Row i's loss is max(0, hinge). -1 when there is no other identity.
__device__ real hinge(const real* distance, const int32_t* hardest, int n, int i, real margin) {
  const int32_t p = hardest[2 * i], q = hardest[2 * i + 1];
  return q < 0 ? real{-1} : margin + distance[int64_t{i} * n + p] - distance[int64_t{i} * n + q];
}

struct Smaller {
  __device__ int operator()(int a, int b) const { return a < b ? a : b; }
};

struct Candidate {
  real distance;
  int row;  // -1: none
};

// Chooses the candidate with the smaller distance (Sign 1) or the larger one (Sign -1); of equal ones the first row.
template <int Sign>
struct Better {
  __device__ Candidate operator()(Candidate a, Candidate b) const {
    if (a.row < 0 || b.row < 0) return a.row < 0 ? b : a;
    const real x = Sign * a.distance, y = Sign * b.distance;
    if (x < y || y < x) return x < y ? a : b;
    return a.row < b.row ? a : b;
  }
};

template <int Sign>
__device__ Candidate warp_best(Candidate mine) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    const Candidate other{__shfl_xor_sync(kAllLanes, mine.distance, offset),
                          __shfl_xor_sync(kAllLanes, mine.row, offset)};
    mine = Better<Sign>{}(mine, other);
  }
  return mine;
}

// Returns p and n of row i (here p and q) in all lanes.
__device__ void find_hardest(const real* distance, const int32_t* labels, int n, int i, int lane, int32_t& p,
                             int32_t& q) {
  const real* row = distance + int64_t{i} * n;
  Candidate farthest{row[i], -1}, nearest{0, -1};
  int first_other = n;
  for (int j = lane; j < n; j += kWarp) {
    if (labels[j] != labels[i]) first_other = j < first_other ? j : first_other;
    if (row[j] != row[j]) continue;
    if (labels[j] != labels[i])
      nearest = Better<1>{}(nearest, {row[j], j});
    else if (row[j] > row[i])
      farthest = Better<-1>{}(farthest, {row[j], j});
  }
  farthest = warp_best<-1>(farthest);
  nearest = warp_best<1>(nearest);
  p = farthest.row < 0 ? i : farthest.row;
  // The cpu kernel's search in row order keeps a NaN if it comes first; so does this one.
  first_other = warp_reduce(first_other, Smaller{});
  const bool stays = first_other < n && row[first_other] != row[first_other];
  q = stays ? first_other : nearest.row;
}

struct LossShared {
  real values[kWarp];
};

__global__ void __launch_bounds__(kLossThreads)
    loss_kernel(const real* distance, const int32_t* labels, int n, real margin, int32_t* hardest, real* loss) {
  LossShared& s = shared_memory<LossShared>();
  const int lane = threadIdx.x % kWarp;
  real sum = 0;
  for (int i = threadIdx.x / kWarp; i < n; i += kLossThreads / kWarp) {
    int32_t p, q;
    find_hardest(distance, labels, n, i, lane, p, q);
    if (lane > 0) continue;
    hardest[2 * i] = p;
    hardest[2 * i + 1] = q;
    sum += rectify(hinge(distance, hardest, n, i, margin));
  }
  sum = block_reduce(sum, s.values);
  if (threadIdx.x == 0) *loss = sum / static_cast<real>(n);
}

template <int N>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(const real* dloss, const real* f, int n, int d, real margin, const real* distance,
                    const int32_t* hardest, Rows rows, real* df, Write write) {
  RowList<kThreads>& list = shared_memory<RowList<kThreads>>();
  const int row = rows.begin + static_cast<int>(blockIdx.x);
  const int column = static_cast<int>(blockIdx.y * kThreads + threadIdx.x) * N;
  const bool inside = column < d;
  const auto columns_of = [&](int i) { return inside ? load_pack<N>(f + int64_t{i} * d + column) : Pack<real, N>{}; };
  const real factor = *dloss / static_cast<real>(n);
  const Pack<real, N> mine = columns_of(row);
  Pack<real, N> g{};
  // factor / distance(i, j), 0 where that distance is clamped
  const auto over_distance = [&](int i, int j) {
    const real length = distance[int64_t{i} * n + j];
    return length * length <= static_cast<real>(kClamp) * static_cast<real>(1.0001) ? real{0} : factor / length;
  };
  const auto add_direction = [&](int other, real weight) {
    if (weight == 0) return;
    const Pack<real, N> x = columns_of(other);
    for (int k = 0; k < N; k++) g.lane[k] += weight * (mine.lane[k] - x.lane[k]);
  };
  if (hinge(distance, hardest, n, row, margin) >= 0) {
    const int32_t p = hardest[2 * row], q = hardest[2 * row + 1];
    add_direction(p, over_distance(row, p));
    add_direction(q, -over_distance(row, q));
  }
  const auto chose_this = [&](int i, real& weight) {
    const bool farthest = hardest[2 * i] == row, nearest = hardest[2 * i + 1] == row;
    if (i == row || !(farthest || nearest) || !(hinge(distance, hardest, n, i, margin) >= 0)) return false;
    weight = farthest ? over_distance(i, row) : -over_distance(i, row);
    return true;
  };
  each_weighted_row(0, n, list, chose_this, add_direction);
  if (inside) put_lanes(df + int64_t{row - rows.begin} * d + column, g.lane, write);
}

}  // namespace

void triplet_forward(Stream stream, const real* f, const int32_t* labels, int n, int d, real margin, real* distance,
                     int32_t* hardest, real* loss, void* workspace) {
  KERNEL_CHECK(n > 0 && d > 0, "a batch of features");
  pair_distances<DistanceOf>(stream, f, nullptr, n, d, static_cast<real*>(workspace), distance);
  LAUNCH(loss_kernel, 1, kLossThreads, sizeof(LossShared), stream, distance, labels, n, margin, hardest, loss);
}

void triplet_backward(Stream stream, const real* dloss, const real* f, int n, int d, real margin, const real* distance,
                      const int32_t* hardest, Rows rows, real* df, Write write) {
  KERNEL_CHECK(n > 0 && d > 0, "a batch of features");
  if (rows.count == 0) return;
  with_real_lanes(real_packs_fit(d, f, df), [&](auto lanes) {
    const dim3 grid(static_cast<unsigned>(rows.count), static_cast<unsigned>(divide_up(d, kThreads * lanes)));
    LAUNCH((backward_kernel<lanes()>), grid, kThreads, sizeof(RowList<kThreads>), stream, dloss, f, n, d, margin,
           distance, hardest, rows, df, write);
  });
}

}  // namespace mpanet::PRECISION::KERNEL_NS
