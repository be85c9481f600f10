// Separation loss: the overlap of an image's pattern maps.
//   loss = sum over images, positions, pairs j < l of m_j m_l / (n pairs),  pairs = p (p - 1) / 2
//   dm_j = dloss (sum of the others) / (n pairs)
// A block loads whole positions, at most 1024 contiguous values, into shared memory, where each thread reads the other
// maps of its position. Forward: the block's sum of m_j (m_{j+1} + m_{j+2} + ..) is written to the workspace, and one
// block adds these in order. Masks of 128 x 24 x 8 x 6 in float are 0.59 MB: the forward reads them once (and 147
// partial sums twice), the backward reads them once and writes as much.
#include "kernels/cuda/reduce.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr int kThreads = 256;
constexpr int kTile = 1024;  // values of a block

struct Memory {
  real tile[kTile];
  real partial[kWarp];
};

// Positions of a block: a multiple of 8 if at least 8 fit, so that blocks begin at a sector.
constexpr __host__ __device__ int positions_of(int p) {
  const int most = kTile / p;
  return most < 8 ? most : most / 8 * 8;
}

// The values of a block: whole positions of p values.
struct BlockValues {
  int64_t begin;
  int count;
  __device__ BlockValues(int64_t values, int p) : begin(int64_t{blockIdx.x} * positions_of(p) * p), count(0) {
    count = static_cast<int>(min(values - begin, int64_t{positions_of(p)} * p));
  }
};

__device__ inline void read_tile(Memory& memory, const BlockValues& block, const real* masks) {
  for (int i = static_cast<int>(threadIdx.x); i < block.count; i += kThreads) memory.tile[i] = masks[block.begin + i];
  __syncthreads();
}

__global__ void __launch_bounds__(kThreads)
    separation_forward_kernel(const real* masks, int64_t values, int p, real* partial) {
  Memory& memory = shared_memory<Memory>();
  const BlockValues block(values, p);
  read_tile(memory, block, masks);
  real sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < block.count; i += kThreads) {
    real later = 0;
    for (int l = i + 1, end = i - i % p + p; l < end; l++) later += memory.tile[l];
    sum += memory.tile[i] * later;
  }
  sum = block_reduce(sum, memory.partial);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads)
    separation_total_kernel(const real* partial, int blocks, real divisor, real* loss) {
  Memory& memory = shared_memory<Memory>();
  real sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < blocks; i += kThreads) sum += partial[i];
  sum = block_reduce(sum, memory.partial);
  if (threadIdx.x == 0) *loss = sum / divisor;
}

__global__ void __launch_bounds__(kThreads)
    separation_backward_kernel(const real* dloss, const real* masks, int64_t values, int p, real divisor, real* dmasks,
                               Write write) {
  Memory& memory = shared_memory<Memory>();
  const BlockValues block(values, p);
  const real factor = *dloss / divisor;
  read_tile(memory, block, masks);
  for (int i = static_cast<int>(threadIdx.x); i < block.count; i += kThreads) {
    const int first = i - i % p;
    real others = 0;
    for (int l = first; l < first + p; l++) others += l == i ? real{0} : memory.tile[l];
    put(dmasks[block.begin + i], factor * others, write);
  }
}

int blocks_of(int n, int hw, int p) {
  KERNEL_CHECK(p >= 2 && p <= kTile, "2 to 1024 maps");
  KERNEL_CHECK(n > 0 && hw > 0, "a batch with positions");
  const int64_t blocks = divide_up(int64_t{n} * hw, positions_of(p));
  KERNEL_CHECK(blocks < int64_t{1} << 31, "fewer than 2^31 blocks");
  return static_cast<int>(blocks);
}

real divisor_of(int n, int p) { return static_cast<real>(n) * static_cast<real>(p * (p - 1) / 2); }

}  // namespace

size_t separation_workspace_bytes(int n, int hw, int p) {
  return static_cast<size_t>(blocks_of(n, hw, p)) * sizeof(real);
}

void separation_forward(Stream stream, const real* masks, int n, int hw, int p, real* loss, void* workspace) {
  const int blocks = blocks_of(n, hw, p);
  real* partial = static_cast<real*>(workspace);
  LAUNCH(separation_forward_kernel, blocks, kThreads, sizeof(Memory), stream, masks, int64_t{n} * hw * p, p, partial);
  LAUNCH(separation_total_kernel, 1, kThreads, sizeof(Memory), stream, partial, blocks, divisor_of(n, p), loss);
}

void separation_backward(Stream stream, const real* dloss, const real* masks, int n, int hw, int p, real* dmasks,
                         Write write) {
  LAUNCH(separation_backward_kernel, blocks_of(n, hw, p), kThreads, sizeof(Memory), stream, dloss, masks,
         int64_t{n} * hw * p, p, divisor_of(n, p), dmasks, write);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
