// The kernel interface: kernels.inc once per backend, in the precision PRECISION, and RUN_ON to call a kernel.
#pragma once
#include <type_traits>

#include "core/base/real.h"
#include "kernels/types.h"

namespace mpanet::PRECISION {

// Whether convolutions and products of this precision follow the stream's flag for TF32 (memory.inc).
constexpr bool kHasTf32 = std::is_same_v<storage, float>;

// The epilogue of a convolution: y = act(scale * conv(x, w) + shift + residual). A backend whose prepared weights
// contain `scale` (conv_prepare_weights) ignores it here.
struct ConvEpilogue {
  const real* scale = nullptr;        // (k), null: 1
  const real* shift = nullptr;        // (k), bias or a folded batch norm's, null: 0
  const storage* residual = nullptr;  // (n, oh, ow, k), null: 0; may be y: in place
  bool relu = false;
};

// Up to eight scalars in device memory with their weights, in the order of addition.
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
// memory. Errors of the kernel name the op. ASK_BACKEND calls a query (a size in bytes) in every context.
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
