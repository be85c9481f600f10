// Whose convolutions and matrix products a GPU runs: our kernels or NVIDIA's libraries.
#pragma once
#include <map>
#include <string>

namespace mpanet {

// Auto: the first workspace query for a shape times both and keeps the faster one.
enum class Provider { Native, Vendor, Auto };

struct Vendors {
  Provider convolution = Provider::Native, product = Provider::Native;
  // What Auto took, from a shape in words to native, cudnn or cublas; with Vendor, the shapes that the library cannot
  // do and our kernels did. What is in it is not timed again: a run keeps it in its folder and, gone on with, computes
  // what it would have computed.
  std::map<std::string, std::string> choices;
};

}  // namespace mpanet
