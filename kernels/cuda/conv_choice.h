// Which kernel computes a pass of a convolution, with which tile and splits: for the launchers of convolution.
#pragma once
#include "kernels/cuda/plan.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

// 16-bit factors are multiplied by tensor cores, floats on a stream that uses TF32, others in ordinary arithmetic.
bool on_tensor_cores(Stream stream);

// Channels of a tap in the depth or the columns of a product, of the kernels of conv.cu.
int tap_width(int c);

// The product that these kernels compute.
ProductSize conv_product(const ConvShape& s, ConvPass pass);

ProductPlan conv_plan(Stream stream, const ConvShape& s, ConvPass pass);

}  // namespace mpanet::PRECISION::KERNEL_NS
