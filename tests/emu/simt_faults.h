// Kernels with planted faults, and one without (simt_faults.cpp), for test_simt. Each function launches one kernel. n
// is the number of elements of y.
#pragma once

namespace mpanet::simt_faults {

constexpr int kThreads = 128;

// y[i] = x[n - 1 - i] through shared memory: one block of kThreads threads.
void reverse(const float* x, float* y);
void reverse_without_barrier(const float* x, float* y);
void reverse_without_second_barrier(const float* x, float* y);  // y[i] = x[i], reversed twice
void reverse_without_wait(const float* x, float* y);            // by cp.async
void reverse_with_wait(const float* x, float* y);
void reverse_waiting_for_the_older(const float* x, float* y);  // two groups, of which one is done

void divergent_barrier(float* y);
void barrier_after_exit(float* y);
void half_a_warp_at_the_barrier(float* y);
void divergent_shuffle(float* y);
void shuffle_outside_its_mask(float* y);
void shuffle_from_nobody(float* y);

void shared_overrun(float* y);  // one element
void shared_too_small(float* y);
void device_overrun(float* y, int n);   // y[0 .. n]
void device_underrun(float* y, int n);  // y[-1 .. n - 1]
void misaligned_pack(const float* x, float* y);
void misaligned_copy(const float* x, float* y);

// Blocks of one launch: each block writes all n elements; each reads its neighbour's output; the last of `blocks` adds
// the partial sums of all, with or without the necessary fence.
void blocks_write_the_same(float* y, int n, int blocks);
void blocks_read_their_neighbours(float* y, int blocks);
void last_block_sums(float* partial, unsigned* counter, float* y, int blocks, bool fence);

void throws(float* y);

// Launches that a device refuses.
void too_many_threads(float* y);
void beyond_the_launch_bound(float* y);
void too_much_shared_memory(float* y);
void empty_grid(float* y);

}  // namespace mpanet::simt_faults
