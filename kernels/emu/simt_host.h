// The emulation as a .cu file sees it: CUDA's words, built-in variables, functions and launches under a host compiler.
// Blocks run one after another on each host thread, the threads of a block take turns (block.h).
#pragma once
#include "kernels/emu/atomics.h"
#include "kernels/emu/device_types.h"
#include "kernels/emu/intrinsics.h"
#include "kernels/emu/launch.h"
#include "kernels/emu/warp_ops.h"
