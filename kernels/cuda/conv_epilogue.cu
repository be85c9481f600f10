// The operations that a library's convolution does not do.
//   finish_convolution   y = act(scale y + shift + residual) per channel
//   widen                converts a gradient from storage to real: to (+)= from
// One thread per pack of channels, or per element if packs do not fit the addresses or the number of channels. Bytes: y
// (and the residual) read, y written; the gradient read in storage and written in real.
#include "kernels/cuda/conv_epilogue.h"
#include "kernels/cuda/numeric.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr int kThreads = 256;

template <int N>
__global__ void __launch_bounds__(kThreads) finish_kernel(storage* y, int64_t packs, int k, ConvEpilogue e) {
  const int64_t pack = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (pack >= packs) return;
  const int64_t i = pack * N;
  const int channel = static_cast<int>(i % k);
  real v[N], residual[N];
  load_lanes(y + i, v);
  if (e.residual != nullptr) load_lanes(e.residual + i, residual);
  UNROLL
  for (int j = 0; j < N; j++) {
    if (e.scale != nullptr) v[j] *= e.scale[channel + j];
    if (e.shift != nullptr) v[j] += e.shift[channel + j];
    if (e.residual != nullptr) v[j] += residual[j];
    if (e.relu) v[j] = rectify(v[j]);
  }
  put_lanes(y + i, v, Write::Set);
}

template <int N>
__global__ void __launch_bounds__(kThreads) widen_kernel(const storage* from, real* to, int64_t packs, Write write) {
  const int64_t pack = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (pack >= packs) return;
  real v[N];
  load_lanes(from + pack * N, v);
  put_lanes(to + pack * N, v, write);
}

dim3 blocks_for(int64_t packs) {
  const int64_t blocks = divide_up(packs, kThreads);
  KERNEL_CHECK(blocks > 0 && blocks < int64_t{1} << 31, "1 to 2^31 blocks");
  return dim3(static_cast<unsigned>(blocks));
}

}  // namespace

void finish_convolution(Stream stream, storage* y, int64_t rows, int k, const ConvEpilogue& epilogue) {
  constexpr int N = kFull<storage>;
  const int64_t count = rows * k;
  if (packs_fit(k, y, epilogue.residual))
    LAUNCH(finish_kernel<N>, blocks_for(count / N), kThreads, 0, stream, y, count / N, k, epilogue);
  else
    LAUNCH(finish_kernel<1>, blocks_for(count), kThreads, 0, stream, y, count, k, epilogue);
}

void widen(Stream stream, const storage* from, real* to, int64_t count, Write write) {
  constexpr int N = kFull<storage>;
  if (packs_fit(count, from, to))
    LAUNCH(widen_kernel<N>, blocks_for(count / N), kThreads, 0, stream, from, to, count / N, write);
  else
    LAUNCH(widen_kernel<1>, blocks_for(count), kThreads, 0, stream, from, to, count, write);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
