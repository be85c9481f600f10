// Kernels of test_cuda_runtime, launched as the backend's own are.
#pragma once
#include "kernels/types.h"

// Writes `value` to the `count` ints from `to` on, in `blocks` blocks of `threads`.
void launch_fill(mpanet::Stream stream, int* to, int count, int value, int blocks, int threads,
                 size_t shared_bytes = 0);
void launch_copy(mpanet::Stream stream, int* to, const int* from, int count);
// Writes far outside its buffer.
void launch_overrun(mpanet::Stream stream, int* to);
