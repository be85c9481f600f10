// cuDNN's convolutions and cuBLAS's matrix products as alternatives to our kernels. Settings belong to a stream. They
// must be set before the stream's memory is planned, because workspaces depend on them. Callers need no CUDA header.
#pragma once
#include "kernels/types.h"
#include "kernels/vendors.h"

namespace mpanet::cuda {

bool has_cudnn();  // whether this program links the library
bool has_cublas();

using mpanet::Provider;
using mpanet::Vendors;

// UserError, one line, when a chosen library is not linked. With Auto our kernels are used instead.
void set_vendors(Stream stream, const Vendors& vendors);
const Vendors& vendors_of(Stream stream);

}  // namespace mpanet::cuda
