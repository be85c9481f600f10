// The choice between our kernels and NVIDIA's libraries for a GPU's convolutions and matrix products.
#pragma once
#include <map>
#include <string>

namespace mpanet {

// Auto: the first workspace query for a shape times both and keeps the faster one.
enum class Provider { Native, Vendor, Auto };

struct Vendors {
  Provider convolution = Provider::Native, product = Provider::Native;
  // Maps a shape as text to "native", "cudnn" or "cublas". With Auto these are the choices; with Vendor, the shapes
  // that the library does not support. A shape in the map is not timed again: a run stores the map in its folder, so
  // that it computes the same bits after a resume.
  std::map<std::string, std::string> choices;
};

}  // namespace mpanet
