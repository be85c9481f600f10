// The emulation for .cu files: CUDA's keywords, built-in variables, functions and launches for a host compiler. Each
// host thread runs one block after another, and alternates between the threads of the block (block.h).
#pragma once
#include "kernels/emu/atomics.h"
#include "kernels/emu/device_types.h"
#include "kernels/emu/intrinsics.h"
#include "kernels/emu/launch.h"
#include "kernels/emu/warp_ops.h"
