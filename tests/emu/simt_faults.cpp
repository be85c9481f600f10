// Compiled like a .cu file for the emulation, with memory-access hooks unless there is a sanitizer. Comments "LINE:
// name" mark lines that a report must name.
#define PRECISION f32
#include "tests/emu/simt_faults.h"

#include <stdexcept>

#include "kernels/cuda/numeric.cuh"
#include "kernels/cuda/ptx.cuh"

namespace mpanet::f32::emu {
namespace {

using simt_faults::kThreads;

struct Row {
  float value[kThreads];
};

__global__ void reverse_kernel(const float* x, float* y, bool barrier) {
  Row& row = shared_memory<Row>();
  const int i = threadIdx.x;
  row.value[i] = x[i];  // LINE: reverse write
  if (barrier) __syncthreads();
  y[i] = row.value[kThreads - 1 - i];  // LINE: reverse read
}

__global__ void reverse_twice_kernel(const float* x, float* y) {
  Row& row = shared_memory<Row>();
  const int i = threadIdx.x;
  row.value[i] = x[i];
  __syncthreads();
  const float mirrored = row.value[kThreads - 1 - i];  // LINE: twice read
  row.value[i] = mirrored;                             // LINE: twice write
  __syncthreads();
  y[i] = row.value[kThreads - 1 - i];
}

__global__ void copy_kernel(const float* x, float* y, bool wait) {
  Row& row = shared_memory<Row>();
  const int i = threadIdx.x;
  cp_async<4>(&row.value[i], x + i);
  cp_async_commit();
  if (wait) cp_async_wait<0>();
  __syncthreads();
  y[i] = row.value[kThreads - 1 - i];
}

struct TwoRows {
  float value[2][kThreads];
};
__global__ void copy_two_kernel(const float* x, float* y) {
  TwoRows& rows = shared_memory<TwoRows>();
  const int i = threadIdx.x;
  for (int row = 0; row < 2; row++) {
    cp_async<4>(&rows.value[row][i], x + i);
    cp_async_commit();
  }
  cp_async_wait<1>();
  __syncthreads();
  y[i] = rows.value[1][kThreads - 1 - i];
}

__global__ void divergent_barrier_kernel(float* y) {
  if (threadIdx.x < 40)
    __syncthreads();  // LINE: divergent barrier here
  else
    __syncthreads();  // LINE: divergent barrier there
  y[threadIdx.x] = 1;
}

__global__ void barrier_after_exit_kernel(float* y) {
  if (threadIdx.x == 5) return;
  __syncthreads();  // LINE: barrier after exit
  y[threadIdx.x] = 1;
}

__global__ void half_a_warp_kernel(float* y) {
  if (threadIdx.x % 2 == 0)
    __syncthreads();  // LINE: half at the barrier
  else
    __syncwarp();  // LINE: half at the warp
  y[threadIdx.x] = 1;
}

__global__ void divergent_shuffle_kernel(float* y) {
  float value = 1;
  if (threadIdx.x < 7)
    value = __shfl_xor_sync(kAllLanes, value, 1);  // LINE: divergent shuffle here
  else
    value = __shfl_xor_sync(kAllLanes, value, 2);  // LINE: divergent shuffle there
  y[threadIdx.x] = value;
}

__global__ void shuffle_outside_kernel(float* y) {
  y[threadIdx.x] = __shfl_sync(0xffffu, 1.0f, 0);  // LINE: outside its mask
}

__global__ void shuffle_from_nobody_kernel(float* y) {
  if (threadIdx.x == 3) return;
  y[threadIdx.x] = __shfl_sync(kAllLanes, 1.0f, 3);  // LINE: from nobody
}

__global__ void shared_overrun_kernel(float* y) {
  float* value = shared_memory<Row>().value;
  value[threadIdx.x + 1] = 1;  // LINE: shared overrun
  y[threadIdx.x] = 1;
}

__global__ void device_range_kernel(float* y, int begin, int end) {
  const int i = begin + static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < end) y[i] = 1;
}

__global__ void misaligned_pack_kernel(const float* x, float* y) {
  const Pack<float, 4> pack = load_pack<4>(x + 1);
  y[0] = pack.lane[0];
}

__global__ void misaligned_copy_kernel(const float* x, float* y) {
  Row& row = shared_memory<Row>();
  cp_async_16(&row.value[0], x + 1);  // LINE: misaligned copy
  cp_async_commit();
  cp_async_wait<0>();
  y[0] = row.value[0];
}

__global__ void same_kernel(float* y, int n) {
  for (int i = threadIdx.x; i < n; i += blockDim.x) y[i] = blockIdx.x;  // LINE: blocks write
}

__global__ void neighbour_kernel(float* y) {
  const int block = blockIdx.x;
  if (block > 0) y[block] = y[block - 1] + 1;  // LINE: blocks read
}

__global__ void last_block_kernel(float* partial, unsigned* counter, float* y, bool fence) {
  partial[blockIdx.x] = blockIdx.x;  // LINE: partial write
  if (fence) __threadfence();
  if (atomicAdd(counter, 1u) + 1 < gridDim.x) return;
  float sum = 0;
  for (unsigned i = 0; i < gridDim.x; i++) sum += partial[i];  // LINE: partial read
  *y = sum;
}

__global__ void throws_kernel(float* y) {
  if (threadIdx.x == 9) throw std::runtime_error("nine");
  __syncthreads();
  y[threadIdx.x] = 1;
}

__global__ void __launch_bounds__(kThreads) bounded_kernel(float* y) { y[0] = 1; }

}  // namespace
}  // namespace mpanet::f32::emu

namespace mpanet::simt_faults {

using namespace f32::emu;

constexpr Stream kStream = nullptr;

void reverse(const float* x, float* y) { LAUNCH(reverse_kernel, 1, kThreads, sizeof(Row), kStream, x, y, true); }
void reverse_without_barrier(const float* x, float* y) {
  LAUNCH(reverse_kernel, 1, kThreads, sizeof(Row), kStream, x, y, false);
}
void reverse_without_second_barrier(const float* x, float* y) {
  LAUNCH(reverse_twice_kernel, 1, kThreads, sizeof(Row), kStream, x, y);
}
void reverse_without_wait(const float* x, float* y) {
  LAUNCH(copy_kernel, 1, kThreads, sizeof(Row), kStream, x, y, false);
}
void reverse_with_wait(const float* x, float* y) { LAUNCH(copy_kernel, 1, kThreads, sizeof(Row), kStream, x, y, true); }
void reverse_waiting_for_the_older(const float* x, float* y) {
  LAUNCH(copy_two_kernel, 1, kThreads, sizeof(TwoRows), kStream, x, y);
}

void divergent_barrier(float* y) { LAUNCH(divergent_barrier_kernel, 2, kThreads, 0, kStream, y); }
void barrier_after_exit(float* y) { LAUNCH(barrier_after_exit_kernel, 2, kThreads, 0, kStream, y); }
void half_a_warp_at_the_barrier(float* y) { LAUNCH(half_a_warp_kernel, 1, kThreads, 0, kStream, y); }
void divergent_shuffle(float* y) { LAUNCH(divergent_shuffle_kernel, 1, kThreads, 0, kStream, y); }
void shuffle_outside_its_mask(float* y) { LAUNCH(shuffle_outside_kernel, 1, 32, 0, kStream, y); }
void shuffle_from_nobody(float* y) { LAUNCH(shuffle_from_nobody_kernel, 1, 32, 0, kStream, y); }

void shared_overrun(float* y) { LAUNCH(shared_overrun_kernel, 3, kThreads, sizeof(Row), kStream, y); }
void shared_too_small(float* y) { LAUNCH(shared_overrun_kernel, 1, 32, sizeof(Row) - 4, kStream, y); }
void device_overrun(float* y, int n) {
  LAUNCH(device_range_kernel, n / kThreads + 1, kThreads, 0, kStream, y, 0, n + 1);
}
void device_underrun(float* y, int n) { LAUNCH(device_range_kernel, n / kThreads + 1, kThreads, 0, kStream, y, -1, n); }
void misaligned_pack(const float* x, float* y) { LAUNCH(misaligned_pack_kernel, 1, 1, 0, kStream, x, y); }
void misaligned_copy(const float* x, float* y) { LAUNCH(misaligned_copy_kernel, 1, 1, sizeof(Row), kStream, x, y); }

void blocks_write_the_same(float* y, int n, int blocks) { LAUNCH(same_kernel, blocks, 32, 0, kStream, y, n); }
void blocks_read_their_neighbours(float* y, int blocks) { LAUNCH(neighbour_kernel, blocks, 1, 0, kStream, y); }
void last_block_sums(float* partial, unsigned* counter, float* y, int blocks, bool fence) {
  LAUNCH(last_block_kernel, blocks, 1, 0, kStream, partial, counter, y, fence);
}

void throws(float* y) { LAUNCH(throws_kernel, 1, kThreads, 0, kStream, y); }

void too_many_threads(float* y) { LAUNCH(throws_kernel, 1, dim3(32, 33), 0, kStream, y); }
void beyond_the_launch_bound(float* y) { LAUNCH(bounded_kernel, 1, kThreads + 32, 0, kStream, y); }
void too_much_shared_memory(float* y) { LAUNCH(throws_kernel, 1, kThreads, (227 << 10) + 16, kStream, y); }
void empty_grid(float* y) { LAUNCH(throws_kernel, dim3(4, 0), kThreads, 0, kStream, y); }

}  // namespace mpanet::simt_faults
