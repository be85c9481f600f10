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

enum class Mode { Train, Eval };

}  // namespace mpanet::PRECISION
