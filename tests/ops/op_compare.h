// How far a case's results may be off. u is half the distance of two neighbours: 2^-8 in bf16, 2^-11 in f16, 2^-24 in
// float, 2^-53 in double. t is the reference's element, rms the root mean square of its tensor, b
// OpCase::intermediate_roundings.
//
//   reference           an element may differ by                        because
//   double              u_storage |t|                                   one rounding of what is stored
//                       64 u_real (|t| + rms)                           sums in another order, exp and log a few u off
//                       4 b u_storage (|t| + rms)                       each rounding on the way
//   the same precision  twice that                                      both sides round
//   rounded double      2 u_storage |t|, and double's other terms       a rounding may fall to the other neighbour
//
// Rounded double, for bf16 and f16, is the op in double, rounded at each tensor that is stored
// (tests/support/rounded.h). OpCase::tolerance_factor multiplies all terms but the first.
//
// Of 64 and more elements the norm of all differences must stay within 0.6 of the norm of what is allowed: roundings
// are spread, faults are not. Against rounded double the norm may be 0.6 of the norm of 64 u_real (|t| + rms) and
// (1 + b) / 4 u_storage of the tensor's. Few roundings fall otherwise: 0.19 u_storage was the most that was measured,
// while one rounding too many leaves 0.4 u_storage.
//
// A ReLU after a rounding: single elements, about b u_storage of all, lie on the other side of its kink than in double,
// each off by as much as t. Where that is more than one in a million the norm alone is compared with double's, and
// allowed 2 sqrt(b u_storage).
//
// deep() ops, whole networks, magnify what sums in another order do. Against the same precision the norm alone counts,
// and is allowed a third of 2 sqrt(b u_storage). Of gradients in bf16 that bound against double would let nearly any
// pass (0.79 of the norm). In bf16 and f16 they are compared as tests/support/rounded_error.h says instead; in f16,
// where the bound is 0.28, an error of its size is allowed too: of six pictures one element at a kink moves a tensor so
// far. What the backward pass adds to numbers that are there must be what it set before.
#pragma once
#include <string>

#include "tests/ops/op_run.h"
#include "tests/support/worst.h"

namespace mpanet {

// All of them on the cpu backend. Empty where there is none.
struct References {
  OpResults same;     // in the same precision
  OpResults exact;    // in double
  OpResults rounded;  // in rounded double
};

struct Comparison {
  Worst same, exact, rounded;  // of each reference
  int tensors = 0, gradients = 0;
  std::string failure;  // empty: all within tolerance
};

bool deep(const OpName& op);

// A tensor that no bound applies to is a failure, as is a gradient whose bounds a tensor of zeros would meet.
Comparison compare(const OpPrecision& p, const OpName& op, const OpResults& got, const References& references);

}  // namespace mpanet
