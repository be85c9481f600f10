// The choice between our kernels and NVIDIA's libraries for a GPU's convolutions and matrix products, and between our
// kernels and oneDNN for a CPU's convolutions in f32.
#pragma once
#include <map>
#include <string>

namespace mpanet {

// Auto: on a GPU the first workspace query for a shape times both and keeps the faster one; on a CPU a rule by shape
// and pass (kernels/cpu/conv_choice.cpp).
enum class Provider { Native, Vendor, Auto };

struct Vendors {
  Provider convolution = Provider::Native, product = Provider::Native;  // of a GPU
  Provider cpu_convolution = Provider::Auto;
  // Maps a shape as text to "native", "cudnn", "cublas" or "onednn": on a CPU what runs each convolution, if the build
  // has a choice; on a GPU with Auto the choices, with Vendor the shapes that the library does not support. What is in
  // the map holds, and is not timed again: a run stores the map in its folder, so
  // that it computes the same bits after a resume.
  std::map<std::string, std::string> choices;
};

}  // namespace mpanet
