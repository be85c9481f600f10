// The memory-bound kernels of plain loops, compiled once per instruction set: foreach_target.h includes this file
// again. The .inc files have the loops; everything that they include is above foreach_target.h, so that inline
// functions of other headers are compiled for the baseline only. The build forbids fused multiply-add
// (-ffp-contract=off), so that all sets give the same bits.
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "core/base/error.h"
#include "kernels/cpu/convert.h"
#include "kernels/cpu/rows.h"
#include "kernels/kernels.h"

// These loops gain nothing from the sets between the baseline, AVX2 and AVX-512.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/loops.cpp"
#include <hwy/foreach_target.h>
// Behind foreach_target.h.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace mpanet::PRECISION::cpu::HWY_NAMESPACE {

#include "kernels/cpu/batch_norm.inc"
#include "kernels/cpu/instance_norm.inc"
#include "kernels/cpu/optimizer.inc"
#include "kernels/cpu/pattern_alignment.inc"
#include "kernels/cpu/pool.inc"

}  // namespace mpanet::PRECISION::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mpanet::PRECISION::cpu {

// Defines a kernel of kernels.inc that calls the best one for the processor. It takes the declaration in three parts.
#  define DISPATCH(result, name, parameters, arguments) \
    HWY_EXPORT(name);                                   \
    result name parameters { return HWY_DYNAMIC_DISPATCH(name) arguments; }

DISPATCH(size_t, batch_norm_workspace_bytes, (int64_t rows, int c), (rows, c))
DISPATCH(void, batch_norm_statistics,
         (Stream stream, const storage* x, int64_t rows, int c, real momentum, real* mean, real* variance,
          real* running_mean, real* running_variance, void* workspace),
         (stream, x, rows, c, momentum, mean, variance, running_mean, running_variance, workspace))
DISPATCH(void, batch_norm_apply,
         (Stream stream, int64_t rows, int c, real eps, const NormInput& norm, const NormInput& joined,
          const storage* residual, bool relu, storage* y, uint8_t* signs),
         (stream, rows, c, eps, norm, joined, residual, relu, y, signs))
DISPATCH(void, batch_norm_backward_reduce,
         (Stream stream, const storage* dy, const ReluMask& mask, int64_t rows, int c, real eps, const NormInput& norm,
          const NormGradient& to, const NormInput& joined, const NormGradient& joined_to, real* sum_g, void* workspace),
         (stream, dy, mask, rows, c, eps, norm, to, joined, joined_to, sum_g, workspace))
DISPATCH(void, batch_norm_backward_apply,
         (Stream stream, const storage* dy, const ReluMask& mask, int64_t rows, int c, real eps, const NormInput& norm,
          const NormGradient& to, const NormInput& joined, const NormGradient& joined_to, const real* sum_g,
          storage* dresidual, Write dresidual_write),
         (stream, dy, mask, rows, c, eps, norm, to, joined, joined_to, sum_g, dresidual, dresidual_write))

DISPATCH(void, instance_norm_statistics,
         (Stream stream, const storage* x, int n, int hw, int c, real eps, real* mean, real* rstd),
         (stream, x, n, hw, c, eps, mean, rstd))
DISPATCH(void, instance_norm_blend,
         (Stream stream, const storage* x, int n, int hw, int c, const real* mean, const real* rstd, const real* mask,
          storage* y),
         (stream, x, n, hw, c, mean, rstd, mask, y))
DISPATCH(void, instance_norm_backward_reduce,
         (Stream stream, const storage* dy, const storage* x, int n, int hw, int c, const real* mean, const real* rstd,
          real* sum_dy, real* sum_dyn),
         (stream, dy, x, n, hw, c, mean, rstd, sum_dy, sum_dyn))
DISPATCH(void, mam_backward_mask,
         (Stream stream, int64_t count, const real* mean, const real* rstd, const real* sum_dy, const real* sum_dyn,
          real* dmask),
         (stream, count, mean, rstd, sum_dy, sum_dyn, dmask))
DISPATCH(void, instance_norm_backward_apply,
         (Stream stream, const storage* dy, const storage* x, int n, int hw, int c, const real* mean, const real* rstd,
          const real* mask, const real* sum_dy, const real* sum_dyn, const real* dpooled, storage* dx, Write write),
         (stream, dy, x, n, hw, c, mean, rstd, mask, sum_dy, sum_dyn, dpooled, dx, write))

DISPATCH(void, teacher_update, (Stream stream, const StepRates* rates, const real* live, real* teacher, int64_t count),
         (stream, rates, live, teacher, count))
DISPATCH(void, adam_step,
         (Stream stream, const StepRates* rates, const StepState* state, const AdamSettings& settings,
          const real* gradient, real* first, real* second, real* value, int64_t count, storage* working,
          int64_t working_count),
         (stream, rates, state, settings, gradient, first, second, value, count, working, working_count))
DISPATCH(void, sgd_step,
         (Stream stream, const StepRates* rates, const StepState* state, const SgdSettings& settings,
          const real* gradient, real* momentum, real* value, int64_t count, storage* working, int64_t working_count),
         (stream, rates, state, settings, gradient, momentum, value, count, working, working_count))

DISPATCH(void, pattern_alignment_forward,
         (Stream stream, const storage* x, const real* w, const real* b, int n, int hw, int c, int p, real* masks,
          real* f),
         (stream, x, w, b, n, hw, c, p, masks, f))
DISPATCH(void, pattern_alignment_backward,
         (Stream stream, const real* df, const real* dmasks, const storage* x, const real* masks, const real* w, int n,
          int hw, int c, int p, storage* dx, Write dx_write, real* image_dw, real* image_db),
         (stream, df, dmasks, x, masks, w, n, hw, c, p, dx, dx_write, image_dw, image_db))

DISPATCH(void, max_pool_forward, (Stream stream, const PoolShape& s, const storage* x, storage* y, uint8_t* winner),
         (stream, s, x, y, winner))
DISPATCH(void, max_pool_backward,
         (Stream stream, const PoolShape& s, const storage* dy, const uint8_t* winner, storage* dx, Write write),
         (stream, s, dy, winner, dx, write))
DISPATCH(void, mean_pool_forward, (Stream stream, const storage* x, int n, int hw, int c, real* y),
         (stream, x, n, hw, c, y))
DISPATCH(void, mean_pool_backward, (Stream stream, const real* dy, int n, int hw, int c, storage* dx, Write write),
         (stream, dy, n, hw, c, dx, write))

#  undef DISPATCH

}  // namespace mpanet::PRECISION::cpu
#endif
