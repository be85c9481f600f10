// cuDNN's convolutions and cuBLAS's matrix products as alternatives to our kernels. Settings belong to a stream and are
// made before anything is planned on it: workspaces depend on them. No CUDA header is needed to call this.
#pragma once
#include <map>
#include <string>

#include "kernels/types.h"

namespace mpanet::cuda {

bool has_cudnn();  // linked
bool has_cublas();

// Auto: the first workspace query for a shape times both and keeps the faster one.
enum class Provider { Native, Vendor, Auto };

struct Vendors {
  Provider convolution = Provider::Native, product = Provider::Native;
  // What Auto took, from a shape in words to native, cudnn or cublas; with Vendor, the shapes that the library cannot
  // do and our kernels did. What is in it is not timed again: a run keeps it in its folder and, gone on with, computes
  // what it would have computed.
  std::map<std::string, std::string> choices;
};

// UserError in one line when a library that is asked for is not linked. With Auto, that is our kernels.
void set_vendors(Stream stream, const Vendors& vendors);
const Vendors& vendors_of(Stream stream);

}  // namespace mpanet::cuda
