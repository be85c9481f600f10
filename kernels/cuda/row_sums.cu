// Column sums of a matrix (rows, k): db (k) = sum over the rows of dy.
//
// A block takes a slab of columns and a chunk of rows. Up to 32 adjacent threads read adjacent packs of 16 bytes of a
// row, and each thread adds every height-th row, four loads at a time. The threads' sums are added in shared memory by
// halving. With several chunks their sums (chunks, k) are written to the workspace, and the same kernel adds them. All
// orders are fixed. Bytes: dy once, in full sectors; the workspace is at most 1 / 128 of it.
#include "kernels/cuda/numeric.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr int kThreads = 256, kAtOnce = 4;

template <int N>
struct SumMemory {
  real sum[N][kThreads];
};

// `width` adjacent threads, a power of two, read a row.
template <int N, class T>
__global__ void __launch_bounds__(kThreads)
    row_sums_kernel(const T* from, int64_t rows, int k, int width, int64_t chunk, real* to, Write write) {
  auto& memory = shared_memory<SumMemory<N>>();
  const int thread = static_cast<int>(threadIdx.x), height = kThreads / width;
  const int column = (static_cast<int>(blockIdx.x) * width + thread % width) * N;
  const int64_t begin = blockIdx.y * chunk, end = min(rows, begin + chunk);
  real sum[N] = {};
  if (column < k) {
    int64_t row = begin + thread / width;
    for (; row + (kAtOnce - 1) * height < end; row += kAtOnce * height) {
      Pack<T, N> packs[kAtOnce];
      UNROLL
      for (int i = 0; i < kAtOnce; i++) packs[i] = load_pack<N>(from + (row + i * height) * k + column);
      UNROLL
      for (int i = 0; i < kAtOnce; i++) {
        UNROLL
        for (int j = 0; j < N; j++) sum[j] += load(packs[i].lane[j]);
      }
    }
    for (; row < end; row += height) {
      const Pack<T, N> pack = load_pack<N>(from + row * k + column);
      UNROLL
      for (int j = 0; j < N; j++) sum[j] += load(pack.lane[j]);
    }
  }
  UNROLL
  for (int j = 0; j < N; j++) memory.sum[j][thread] = sum[j];
  __syncthreads();
  for (int half = kThreads / 2; half >= width; half /= 2) {
    if (thread < half) {
      UNROLL
      for (int j = 0; j < N; j++) memory.sum[j][thread] += memory.sum[j][thread + half];
    }
    __syncthreads();
  }
  if (thread >= width || column >= k) return;
  UNROLL
  for (int j = 0; j < N; j++) put(to[int64_t{blockIdx.y} * k + column + j], memory.sum[j][thread], write);
}

// Rows of a chunk: at least 256, and few enough that there are enough blocks for the largest cards.
int64_t chunk_rows(int64_t rows, int k) {
  constexpr int64_t kBlocks = 1024, kFewest = 256;
  const int64_t chunks = max(int64_t{1}, kBlocks * 128 / max(int64_t{k}, int64_t{128}));
  return max(kFewest, divide_up(rows, chunks));
}

template <class T>
void launch_row_sums(Stream stream, const T* from, int64_t rows, int k, int64_t chunk, real* to, Write write) {
  const auto run = [&]<int N>() {
    int width = 1;
    while (width < kWarp && width * N < k) width *= 2;
    const dim3 grid(static_cast<unsigned>(divide_up(k, width * N)), static_cast<unsigned>(divide_up(rows, chunk)));
    LAUNCH((row_sums_kernel<N, T>), grid, kThreads, sizeof(SumMemory<N>), stream, from, rows, k, width, chunk, to,
           write);
  };
  if (k % kFull<T> == 0 && reinterpret_cast<uintptr_t>(from) % 16 == 0)
    run.template operator()<kFull<T>>();
  else
    run.template operator()<1>();
}

template <class T>
void sum_rows(Stream stream, const T* from, int64_t rows, int k, real* to, Write write, void* workspace) {
  KERNEL_CHECK(rows > 0 && k > 0, "positive sizes");
  const int64_t chunk = chunk_rows(rows, k);
  if (chunk >= rows) return launch_row_sums(stream, from, rows, k, rows, to, write);
  const int64_t chunks = divide_up(rows, chunk);
  real* partial = static_cast<real*>(workspace);
  launch_row_sums(stream, from, rows, k, chunk, partial, Write::Set);
  launch_row_sums(stream, partial, chunks, k, chunks, to, write);
}

}  // namespace

size_t row_sums_workspace_bytes(int64_t rows, int k) {
  const int64_t chunks = divide_up(rows, chunk_rows(rows, k));
  return chunks > 1 ? static_cast<size_t>(chunks * k) * sizeof(real) : 0;
}

void bias_backward(Stream stream, const storage* dy, int64_t rows, int k, real* db, Write write, void* workspace) {
  sum_rows(stream, dy, rows, k, db, write, workspace);
}

void column_sums(Stream stream, const real* dy, int64_t rows, int k, real* db, Write write, void* workspace) {
  sum_rows(stream, dy, rows, k, db, write, workspace);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
