// The machine's GPUs, and the reasons why they cannot be used.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace mpanet {

struct Gpu {
  std::string name;
  int major = 0, minor = 0;  // compute capability
  size_t bytes = 0;          // of memory
};

// The GPUs of this machine, and the architectures that this program was compiled for.
struct GpuSurvey {
  std::vector<Gpu> gpus;
  std::string problem;        // the reason if there are none: no driver, a driver that is too old, ...
  bool card = false;          // whether the machine has an NVIDIA card, usable or not
  std::string architectures;  // of the kernels, as in CMake: 80-real (code), 90 (code and PTX), 100-virtual (PTX)
  int driver = 0;             // the newest CUDA version that the driver supports, 12040 is 12.4; 0: no driver
  int toolkit = 0;            // the version of CUDA that compiled the kernels
};

// The reason why CUDA finds no GPU, one line, from the versions and CUDA's message `error`.
std::string why_no_gpu(const std::string& error, const GpuSurvey& survey);

// The reason why a GPU cannot run this program's kernels, one line; empty if it can.
std::string why_unusable(const Gpu& gpu, const GpuSurvey& survey);

namespace cuda {
// Queries the driver. Throws nothing; errors are in `problem`.
GpuSurvey survey();
}  // namespace cuda

}  // namespace mpanet
