// cuDNN's convolutions and cuBLAS's matrix products as alternatives to our kernels. Settings belong to a stream and are
// made before anything is planned on it: workspaces depend on them. No CUDA header is needed to call this.
#pragma once
#include "kernels/types.h"
#include "kernels/vendors.h"

namespace mpanet::cuda {

bool has_cudnn();  // linked
bool has_cublas();

using mpanet::Provider;
using mpanet::Vendors;

// UserError in one line when a library that is asked for is not linked. With Auto, that is our kernels.
void set_vendors(Stream stream, const Vendors& vendors);
const Vendors& vendors_of(Stream stream);

}  // namespace mpanet::cuda
