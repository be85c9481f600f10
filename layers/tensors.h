// Common header of layers and losses: the tensor types in this precision and the kernel interface.
#pragma once
#include "core/context.h"
#include "core/tensor.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION {

using Tensor = TensorOf<storage>;   // activations, NHWC
using RealTensor = TensorOf<real>;  // statistics, features, logits, losses
using LabelTensor = TensorOf<int32_t>;
using FlagTensor = TensorOf<uint8_t>;

// Logits (N, K) of a classifier. Their rows and their gradient's begin at multiples of 16 bytes, so that kernels load
// packs whatever K is. The numbers behind a row's K logits have no meaning; losses set those of the gradient.
struct Logits {
  RealTensor rows;  // (N, stride)
  int k = 0;

  Logits(Context& context, int n, int logits, bool needs_grad = false)
      : rows(context, {n, (logits + kPack - 1) / kPack * kPack}, needs_grad), k(logits) {}
  int n() const { return rows.dim(0); }
  int stride() const { return rows.dim(1); }
  bool same_shape(const Logits& other) const { return k == other.k && rows.shape() == other.rows.shape(); }

 private:
  static constexpr int kPack = 16 / static_cast<int>(sizeof(real));
};

enum class Mode { Train, Eval };

}  // namespace mpanet::PRECISION
