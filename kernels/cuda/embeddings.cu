// Embeddings that stay on the device, between the network and the ranking.
//   keep       casts a batch's features into the matrix, or makes the mean with what is there. One thread an element
//   squares    one block per row; sums in double, in a fixed order, so that equal rows have equal sums. Reads x once
//   scale      one block per row. Reads the chosen rows once, writes as many
#include <limits>

#include "kernels/cuda/features.cuh"
#include "kernels/embeddings.h"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) keep_kernel(const real* from, int64_t count, bool mean, float* to) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= count) return;
  const auto value = static_cast<float>(from[i]);
  to[i] = mean ? (to[i] + value) / 2 : value;
}

struct SquareShared {
  double values[kWarp];
};

template <int N>
__global__ void __launch_bounds__(kThreads) squares_kernel(const float* x, int d, double* squares) {
  SquareShared& s = shared_memory<SquareShared>();
  const float* row = x + int64_t{blockIdx.x} * d;
  double sum = 0;
  for (int column = static_cast<int>(threadIdx.x) * N; column < d; column += kThreads * N) {
    const Pack<float, N> v = load_pack<N>(row + column);
    for (int j = 0; j < N; j++) sum += static_cast<double>(v.lane[j]) * static_cast<double>(v.lane[j]);
  }
  sum = block_reduce(sum, s.values);
  if (threadIdx.x == 0) squares[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads)
    scale_kernel(const float* x, const int32_t* index, const double* factors, int d, real* y) {
  const float* from = x + int64_t{index[blockIdx.x]} * d;
  real* to = y + int64_t{blockIdx.x} * d;
  const double factor = factors[blockIdx.x];
  for (int column = static_cast<int>(threadIdx.x); column < d; column += kThreads)
    to[column] = static_cast<real>(static_cast<double>(from[column]) * factor);
}

unsigned row_grid(int64_t rows) {
  KERNEL_CHECK(rows > 0 && rows <= std::numeric_limits<int32_t>::max(), "1 to 2^31 - 1 rows");
  return static_cast<unsigned>(rows);
}

}  // namespace

void keep_embeddings(Stream stream, const real* from, int64_t count, bool mean, float* to) {
  LAUNCH(keep_kernel, row_grid(divide_up(count, kThreads)), kThreads, 0, stream, from, count, mean, to);
}

void squared_lengths(Stream stream, const float* x, int64_t rows, int d, double* squares) {
  KERNEL_CHECK(d > 0, "numbers in a row");
  if (d % kFull<float> == 0 && reinterpret_cast<uintptr_t>(x) % 16 == 0)
    LAUNCH(squares_kernel<kFull<float>>, row_grid(rows), kThreads, sizeof(SquareShared), stream, x, d, squares);
  else
    LAUNCH(squares_kernel<1>, row_grid(rows), kThreads, sizeof(SquareShared), stream, x, d, squares);
}

void scale_rows(Stream stream, const float* x, const int32_t* index, const double* factors, int64_t rows, int d,
                real* y) {
  KERNEL_CHECK(d > 0, "numbers in a row");
  LAUNCH(scale_kernel, row_grid(rows), kThreads, 0, stream, x, index, factors, d, y);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
