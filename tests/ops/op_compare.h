// Bounds of the errors of a case's results. u is the unit roundoff: 2^-8 in bf16, 2^-11 in f16, 2^-24 in float, 2^-53
// in double. t is the reference's element, rms the root mean square of its tensor, b OpCase::intermediate_roundings.
// The bound of an element is the sum of its reference's terms:
//
//   reference           term                                            why
//   double              u_storage |t|                                   the rounding of the result, if it is stored
//                       64 u_real (|t| + rms)                           sums in another order; errors of exp and log
//                       4 b u_storage (|t| + rms)                       the roundings of intermediate tensors
//   the same precision  twice that                                      both results are rounded
//   rounded double      2 u_storage |t|, and double's other terms       a value may be rounded to the other neighbour
//
// Rounded double, for bf16 and f16, is the op in double, rounded at each tensor that is stored
// (tests/support/rounded.h). OpCase::tolerance_factor multiplies all terms but the first.
//
// If a tensor has 64 or more elements, the norm of all differences has a bound too: 0.6 of the norm of the elements'
// bounds, because roundings are spread out and faults are not. Against rounded double it is 0.6 of the norm of
// 64 u_real (|t| + rms), plus (1 + b) / 4 u_storage times the tensor's norm: few values are rounded to the other
// neighbour. At most 0.19 u_storage was measured; one rounding too many is 0.4 u_storage.
//
// Where operands are rounded to TF32 (convolutions of tf32; products of tf32, bf16 and f16), inputs are floats, so the
// op rounds them, and b u_storage is b u_storage + n 2^-11 everywhere. Against double n = OpCase::operand_roundings;
// against rounded double, whose operands are rounded too, and the same precision, n = OpCase::computed_operands. So
// where all operands are inputs, only the sums may differ from rounded double: in tf32 an operand that is not rounded
// is 2^13 times as wrong as the bound's unit.
//
// A ReLU after a rounding is on the other side of its kink for about b u_storage of all elements, and each of these is
// wrong by up to t. If b u_storage > 1e-6, only the norm is compared with double's; its bound is 2 sqrt(b u_storage).
//
// Whole networks (deep()) magnify the errors of sums in another order. Their outputs are compared with the same
// precision by the norm only; its bound is a third of 2 sqrt(b u_storage). Their gradients in bf16 and f16 are compared
// as in tests/support/rounded_error.h: against double the bound would be 0.79 of the norm in bf16, which nearly any
// gradient satisfies, and two results in the same precision may differ from each other as much as each does from
// double. 0.26 of the norm was measured between sums in float, one term after another, and sums of 16 terms that are
// rounded once, as mma.sync's are under the emulation. In f16, where the bound is 0.28, an error of this size is
// allowed too: with six pictures, one element at a kink can change a tensor that much. The values that the backward
// pass adds to existing numbers must equal the values that it set before.
#pragma once
#include <string>

#include "tests/ops/op_run.h"
#include "tests/support/worst.h"

namespace mpanet {

// Results of the cpu backend. Empty if there is no such reference.
struct References {
  OpResults same;     // in the same precision
  OpResults exact;    // in double
  OpResults rounded;  // in rounded double
  std::vector<OpResults> perturbed =
      {};  // of networks: the same with perturbed roundings (tests/support/rounded_network.h)
};

struct Comparison {
  Worst same, exact, rounded;  // against each reference
  int tensors = 0, gradients = 0;
  std::string failure;  // empty if all tensors are within their bounds
};

// Whether the op is a whole network.
bool deep(const OpName& op);

// A tensor without any bound is a failure, and a gradient whose bounds a tensor of zeros would satisfy.
Comparison compare(const OpPrecision& p, const OpName& op, const OpResults& got, const References& references);

}  // namespace mpanet
