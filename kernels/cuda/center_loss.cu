// Center loss on features f (n, d) with learned centers C (k, d): 1/(n k) sum_i |f_i - C_{y_i}|^2;
//   df_i = 2 (f_i - C_{y_i}) / (n k),  dC_c = -sum of df_i over the rows i of class c
//   forward    block = one row, 128 packs of columns: a partial sum per warp; one block adds them in a fixed order
//   backward   block = one class, 128 packs of columns: its rows in order, their sum in registers
// Bytes: forward reads f, and a row of C per row of f; repeated reads of a row of C hit L2. Backward reads f and the
// rows of C whose class is in the batch, and writes df and all k rows of dC. With Write::Add it reads and writes only
// the rows of dC whose class is in the batch.
#include "kernels/cuda/features.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr int kThreads = 128, kLossThreads = 512;

inline int slices_of(int d, int lanes) { return static_cast<int>(divide_up(d, kThreads * lanes) * (kThreads / kWarp)); }

// partial (n, slices)
template <int N>
__global__ void __launch_bounds__(kThreads)
    squares_kernel(const real* f, const real* centers, const int32_t* labels, int d, int slices, real* partial) {
  const int column = static_cast<int>(blockIdx.y * kThreads + threadIdx.x) * N;
  real sum = 0;
  if (column < d) {
    const Pack<real, N> x = load_pack<N>(f + int64_t{blockIdx.x} * d + column);
    const Pack<real, N> c = load_pack<N>(centers + int64_t{labels[blockIdx.x]} * d + column);
    for (int j = 0; j < N; j++) sum += (x.lane[j] - c.lane[j]) * (x.lane[j] - c.lane[j]);
  }
  sum = warp_reduce(sum);
  const int slice = static_cast<int>(blockIdx.y * (kThreads / kWarp) + threadIdx.x / kWarp);
  if (threadIdx.x % kWarp == 0) partial[int64_t{blockIdx.x} * slices + slice] = sum;
}

struct LossShared {
  real values[kWarp];
};

__global__ void __launch_bounds__(kLossThreads)
    loss_kernel(const real* partial, int64_t count, real divisor, real* loss) {
  LossShared& s = shared_memory<LossShared>();
  real sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kLossThreads) sum += partial[i];
  sum = block_reduce(sum, s.values);
  if (threadIdx.x == 0) *loss = sum / divisor;
}

template <int N>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(const real* dloss, const real* f, const real* centers, const int32_t* labels, int n, int d,
                    real divisor, real* df, Write df_write, real* dcenters, Write dcenters_write) {
  RowList<kThreads>& list = shared_memory<RowList<kThreads>>();
  const int own = blockIdx.x;
  const int column = static_cast<int>(blockIdx.y * kThreads + threadIdx.x) * N;
  const bool inside = column < d;
  const int64_t center_at = int64_t{own} * d + column;
  const real factor = 2 * *dloss / divisor;
  Pack<real, N> center{}, sum{};
  bool any = false;
  each_chosen_row(
      0, n, list, [&](int row) { return labels[row] == own; },
      [&](int row) {
        if (!inside) return;
        if (!any) center = load_pack<N>(centers + center_at);
        any = true;
        const int64_t at = int64_t{row} * d + column;
        Pack<real, N> g = load_pack<N>(f + at);
        for (int j = 0; j < N; j++) {
          g.lane[j] = factor * (g.lane[j] - center.lane[j]);
          sum.lane[j] -= g.lane[j];
        }
        put_lanes(df + at, g.lane, df_write);
      });
  if (inside && (any || dcenters_write == Write::Set)) put_lanes(dcenters + center_at, sum.lane, dcenters_write);
}

}  // namespace

void center_loss_forward(Stream stream, const real* f, const real* centers, const int32_t* labels, int n, int d, int k,
                         real* loss, void* workspace) {
  KERNEL_CHECK(n > 0 && d > 0 && k > 0, "a batch of features");
  real* partial = static_cast<real*>(workspace);
  with_real_lanes(real_packs_fit(d, f, centers), [&](auto lanes) {
    const dim3 grid(static_cast<unsigned>(n), static_cast<unsigned>(divide_up(d, kThreads * lanes)));
    const int slices = slices_of(d, lanes);
    LAUNCH((squares_kernel<lanes()>), grid, kThreads, 0, stream, f, centers, labels, d, slices, partial);
    LAUNCH(loss_kernel, 1, kLossThreads, sizeof(LossShared), stream, partial, int64_t{n} * slices,
           static_cast<real>(n) * static_cast<real>(k), loss);
  });
}

void center_loss_backward(Stream stream, const real* dloss, const real* f, const real* centers, const int32_t* labels,
                          int n, int d, int k, real* df, Write df_write, real* dcenters, Write dcenters_write) {
  KERNEL_CHECK(n > 0 && d > 0 && k > 0, "a batch of features");
  with_real_lanes(real_packs_fit(d, f, centers, df, dcenters), [&](auto lanes) {
    const dim3 grid(static_cast<unsigned>(k), static_cast<unsigned>(divide_up(d, kThreads * lanes)));
    LAUNCH((backward_kernel<lanes()>), grid, kThreads, sizeof(RowList<kThreads>), stream, dloss, f, centers, labels, n,
           d, static_cast<real>(n) * static_cast<real>(k), df, df_write, dcenters, dcenters_write);
  });
}

}  // namespace mpanet::PRECISION::KERNEL_NS
