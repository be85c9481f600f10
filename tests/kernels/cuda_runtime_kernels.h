// Kernels of test_cuda_runtime, launched like the backend's kernels.
#pragma once
#include "kernels/types.h"

// Writes `value` to `count` ints at `to`, in `blocks` blocks of `threads` threads.
void launch_fill(mpanet::Stream stream, int* to, int count, int value, int blocks, int threads,
                 size_t shared_bytes = 0);
void launch_copy(mpanet::Stream stream, int* to, const int* from, int count);
// Writes far outside its buffer.
void launch_overrun(mpanet::Stream stream, int* to);
