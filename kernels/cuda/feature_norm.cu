// Batch norm of features f (n, d) in real: few rows (the batch), many columns.
//   training    m = mean of f, r = 1 / sqrt(mean of (f - m)^2 + eps) per column; eval mode: both from running_*
//   forward     g = (f - m) r weight + bias
//   backward    dbias = sum dg, dweight = sum dg k with k = (f - m) r
//               df = weight r (dg - dbias / n - k dweight / n);  eval mode: df = weight r dg
//
// Mapping: a block of 256 threads takes 16 columns, 16 threads per column. A thread takes every 16th row and keeps its
// first eight values in registers. So up to 128 rows (the authors' batch) are read once for all passes, and later rows
// once per pass. A warp reads 64 bytes (f64: 128) of two rows. 14336 columns (7 x 2048 features) are 896 blocks.
//
// Bytes per element for n <= 128, which is the minimum: forward 2 reals, backward 3 (+ 1 with Write::Add). Counted from
// the compiled code for 128 x 14336 in f32 (7.3 MB), with the values per column: forward 15.1 MB, backward 22.3 MB.
#include "kernels/cuda/reduce.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr int kThreads = 256;
constexpr int kColumns = 16;                         // of a block
constexpr int kColumnThreads = kThreads / kColumns;  // threads of a column
constexpr int kKept = 8;                             // values of a column in a thread's registers
// Resident blocks of the backward pass. Without this bound the compiler spills registers to allow more blocks.
[[maybe_unused]] constexpr int kBackwardBlocks = sizeof(real) == 8 ? 2 : 4;

struct Memory {
  real partial[kThreads / kWarp][kColumns];
};

// The values of one column of K matrices in the rows of one thread.
template <int K>
struct ColumnValues {
  const real* from[K];
  int column, first, n, d;  // rows first, first + kColumnThreads, ... < n; none if column >= width
  real kept[K][kKept];

  __device__ ColumnValues(const real* const (&matrices)[K], int rows, int width)
      : column(static_cast<int>(blockIdx.x) * kColumns + static_cast<int>(threadIdx.x) % kColumns),
        first(static_cast<int>(threadIdx.x) / kColumns),
        n(column < width ? rows : 0),
        d(width) {
    UNROLL
    for (int k = 0; k < K; k++) from[k] = matrices[k] + column;
    UNROLL
    for (int i = 0; i < kKept; i++) {
      const int row = first + i * kColumnThreads;
      if (row >= n) continue;
      UNROLL
      for (int k = 0; k < K; k++) kept[k][i] = from[k][int64_t{row} * d];
    }
  }

  // Calls body(index of an element, its K values) for every row.
  template <class Body>
  __device__ void each(const Body& body) const {
    real values[K];
    UNROLL
    for (int i = 0; i < kKept; i++) {
      const int row = first + i * kColumnThreads;
      if (row >= n) continue;
      UNROLL
      for (int k = 0; k < K; k++) values[k] = kept[k][i];
      body(int64_t{row} * d + column, values);
    }
    for (int row = first + kKept * kColumnThreads; row < n; row += kColumnThreads) {
      UNROLL
      for (int k = 0; k < K; k++) values[k] = from[k][int64_t{row} * d];
      body(int64_t{row} * d + column, values);
    }
  }
};

__global__ void __launch_bounds__(kThreads)
    feature_norm_forward_kernel(const real* f, int n, int d, bool training, real eps, real momentum, const real* weight,
                                const real* bias, real* running_mean, real* running_variance, real* mean, real* rstd,
                                real* g) {
  auto& shared = shared_memory<Memory>();
  const ColumnValues<1> values({f}, n, d);
  const int column = values.column;
  const bool inside = column < d, first = inside && values.first == 0;
  real center = 0, variance = 0;
  if (training) {
    values.each([&](int64_t, const real(&v)[1]) { center += v[0]; });
    center = column_sum<kColumns, kThreads>(center, shared.partial) / static_cast<real>(n);
    values.each([&](int64_t, const real(&v)[1]) { variance += (v[0] - center) * (v[0] - center); });
    variance = column_sum<kColumns, kThreads>(variance, shared.partial);
    if (first) {
      running_mean[column] = (1 - momentum) * running_mean[column] + momentum * center;
      running_variance[column] =
          (1 - momentum) * running_variance[column] + momentum * (variance / static_cast<real>(n - 1));
    }
    variance /= static_cast<real>(n);
  } else if (inside) {
    center = running_mean[column];
    variance = running_variance[column];
  }
  if (!inside) return;
  const real inverse = real{1} / sqrt(variance + eps), w = weight[column], b = bias[column];
  values.each([&](int64_t at, const real(&v)[1]) { g[at] = (v[0] - center) * inverse * w + b; });
  if (first && mean != nullptr) mean[column] = center;
  if (first && rstd != nullptr) rstd[column] = inverse;
}

__global__ void __launch_bounds__(kThreads, kBackwardBlocks)
    feature_norm_backward_kernel(const real* dg, const real* f, int n, int d, bool training, const real* weight,
                                 const real* mean, const real* rstd, real* df, Write write, real* dweight,
                                 Write dweight_write, real* dbias, Write dbias_write) {
  auto& shared = shared_memory<Memory>();
  const ColumnValues<2> values({dg, f}, n, d);
  const int column = values.column;
  const bool inside = column < d;
  const real center = inside ? mean[column] : real{0}, inverse = inside ? rstd[column] : real{0};
  real sum = 0, product = 0;
  values.each([&](int64_t, const real(&v)[2]) {
    sum += v[0];
    product += v[0] * ((v[1] - center) * inverse);
  });
  sum = column_sum<kColumns, kThreads>(sum, shared.partial);
  product = column_sum<kColumns, kThreads>(product, shared.partial);
  if (!inside) return;
  if (values.first == 0) {
    if (dweight != nullptr) put(dweight[column], product, dweight_write);
    if (dbias != nullptr) put(dbias[column], sum, dbias_write);
  }
  // In eval mode the statistics are constants, without gradient.
  sum = training ? sum / static_cast<real>(n) : real{0};
  product = training ? product / static_cast<real>(n) : real{0};
  const real scale = weight[column] * inverse;
  values.each([&](int64_t at, const real(&v)[2]) {
    put(df[at], scale * (v[0] - sum - (v[1] - center) * inverse * product), write);
  });
}

unsigned blocks_for(int d) { return static_cast<unsigned>(divide_up(d, kColumns)); }

}  // namespace

void feature_norm_forward(Stream stream, const real* f, int n, int d, bool training, real eps, real momentum,
                          const real* weight, const real* bias, real* running_mean, real* running_variance, real* mean,
                          real* rstd, real* g) {
  KERNEL_CHECK(n > (training ? 1 : 0), "a batch, and more than one row in training");
  LAUNCH(feature_norm_forward_kernel, blocks_for(d), kThreads, sizeof(Memory), stream, f, n, d, training, eps, momentum,
         weight, bias, running_mean, running_variance, mean, rstd, g);
}

void feature_norm_backward(Stream stream, const real* dg, const real* f, int n, int d, bool training,
                           const real* weight, const real* mean, const real* rstd, real* df, Write write, real* dweight,
                           Write dweight_write, real* dbias, Write dbias_write) {
  KERNEL_CHECK(n > 0, "a batch");
  LAUNCH(feature_norm_backward_kernel, blocks_for(d), kThreads, sizeof(Memory), stream, dg, f, n, d, training, weight,
         mean, rstd, df, write, dweight, dweight_write, dbias, dbias_write);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
