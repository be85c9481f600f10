// The kernel interface: kernels.inc once per backend, in the engine's precision, and RUN_ON to call it.
#pragma once
#include "core/base/real.h"
#include "kernels/types.h"

namespace mpanet::PRECISION {

// What a convolution does with its sums before it writes them: y = act(scale * conv(x, w) + shift + residual).
// A backend that folds `scale` into its prepared weights gets it there (conv_prepare_weights) and ignores it here.
struct ConvEpilogue {
  const real* scale = nullptr;        // (k), null: 1
  const real* shift = nullptr;        // (k), bias or a folded batch norm's, null: 0
  const storage* residual = nullptr;  // (n, oh, ow, k), null: 0; may be y: in place
  bool relu = false;
};

// Up to eight scalars in device memory with their weights, in the order they are added.
struct Terms {
  const real* value[8] = {};
  real weight[8] = {};
  int count = 0;
};

namespace cpu {
#include "kernels/kernels.inc"
}
namespace emu {
#include "kernels/kernels.inc"
}
namespace cuda {
#include "kernels/kernels.inc"
}

}  // namespace mpanet::PRECISION

// RUN_ON(context, kernel(context.stream(), ...)) runs a kernel of the context's backend, unless the context only plans
// memory; its errors name the op. ASK_BACKEND is for the queries (sizes), which are answered in either case.
#define RUN_ON(context, call)                        \
  do {                                               \
    if ((context).launching()) {                     \
      ::mpanet::OpTimer op_timer_((context), #call); \
      try {                                          \
        ON_BACKEND((context).backend(), call);       \
        op_timer_.stop();                            \
      } catch (const ::mpanet::CheckError& error_) { \
        ::mpanet::op_failed(#call, error_);          \
      }                                              \
    }                                                \
  } while (0)

#define ASK_BACKEND(context, call) ON_BACKEND((context).backend(), call)
