// The kernel interface: kernels.inc once per backend, in the precision PRECISION, and RUN_ON to call a kernel.
#pragma once
#include <type_traits>

#include "core/base/picture_cut.h"
#include "core/base/real.h"
#include "kernels/types.h"

namespace mpanet::PRECISION {

// Whether the convolutions and the products of this precision follow the stream's flag for TF32 (memory.inc): those of
// floats. 16-bit numbers are multiplied as they are.
constexpr bool kTf32Convolutions = std::is_same_v<storage, float>, kTf32Products = std::is_same_v<real, float>;

// The epilogue of a convolution: y = act(scale * conv(x, w) + shift + residual). A backend whose prepared weights
// contain `scale` (conv_prepare_weights) ignores it here.
struct ConvEpilogue {
  const real* scale = nullptr;        // (k), null: 1
  const real* shift = nullptr;        // (k), bias or a folded batch norm's, null: 0
  const storage* residual = nullptr;  // (n, oh, ow, k), null: 0; may be y: in place
  bool relu = false;
  real* moments = nullptr;  // (parts, 2, k), or null; then all above is absent; see EpilogueSums
};

// The sums for batch norms that the epilogue of a convolution computes, one part per tile of rows. Forward: mean of y
// as it is stored, and sum of squared deviations from it. BackwardData: of GradEpilogue.
struct EpilogueSums {
  bool available = false;  // false: not of this backend, or of a convolution whose depth is split
  int parts = 0;
  int height = 0;  // rows of a part (Forward), the last part has the rest
};

// A batch norm whose statistics a convolution's epilogue left in parts, and where they go (c each).
struct NormStatistics {
  const real* moments = nullptr;  // of ConvEpilogue
  EpilogueSums parts;
  int64_t rows = 0;
  int c = 0;
  real *mean = nullptr, *variance = nullptr;                  // variance: biased
  real *running_mean = nullptr, *running_variance = nullptr;  // or null
};

// The epilogue of a data gradient that completes the gradient of x = relu(sum of norms): dx is set to zero where x is
// not positive, and from dx as it is stored are computed the sums for the backward of one or two norms.
struct GradEpilogue {
  const uint8_t* signs = nullptr;  // of x, as ReluMask::signs
  const storage* z[2] = {};        // the norms' inputs (n, h, w, c); the second may be null
  const real* mean[2] = {};        // (c)
  real* sums = nullptr;            // (parts, 1 + norms, c): sum dx, sum dx (z - mean). Null: no epilogue
};

// The sums of a product whose depth was split, and where their sum goes:
// to (count) = or += sum over the splits, in order, of partial (splits, count).
struct SplitSums {
  const real* partial = nullptr;
  int splits = 0;
  real* to = nullptr;
  int64_t count = 0;
  Write write = Write::Set;
};

// One of several products of equal sizes: c = or += op(a) op(b).
struct GemmOperands {
  const real *a = nullptr, *b = nullptr;
  real* c = nullptr;
  Write write = Write::Set;
};

// What a backend's batch norm has. The layers run a separate op for what is missing.
struct NormFeatures {
  bool signs = false;  // apply writes the signs of its output, and the backward reads them instead of the output
  bool join = false;   // apply and its backward take the sum of two norms
  // A block's inner outputs are released in the forward and computed again in the backward: memory for one pass more.
  bool recompute = false;
};

// A batch norm's input and coefficients.
struct NormInput {
  const storage* x = nullptr;  // (rows, c); null: there is no such norm
  const real *mean = nullptr, *variance = nullptr, *weight = nullptr, *bias = nullptr;  // (c)
};

// The results of a batch norm's backward.
struct NormGradient {
  real* sum_gn = nullptr;   // (c)
  real* dweight = nullptr;  // (c), null: frozen
  Write dweight_write = Write::Set;
  real* dbias = nullptr;  // (c), null: frozen
  Write dbias_write = Write::Set;
  storage* dx = nullptr;  // (rows, c); may be the norm's x: in place
  Write dx_write = Write::Set;
};

// Where a ReLU passes the gradient: where its output y is positive. y as NormFeatures::signs is false, else its signs,
// bit i % 8 of byte i / 8 for element i. Both null: no ReLU.
struct ReluMask {
  const storage* y = nullptr;
  const uint8_t* signs = nullptr;
};

// Up to eight scalars in device memory with their weights, in the order of addition.
struct Terms {
  const real* value[8] = {};
  real weight[8] = {};
  int count = 0;
};
// Where their gradients go, in the same order; an address may occur twice.
struct TermGradients {
  real* to[8] = {};
  Write write[8] = {};
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
