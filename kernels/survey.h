// Which GPUs there are, and why they cannot be used.
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

// The GPUs of this machine, and what this program was compiled for.
struct GpuSurvey {
  std::vector<Gpu> gpus;
  std::string problem;        // why there are none: no driver, too old a driver, ...
  bool card = false;          // whether the machine has an NVIDIA card, whatever this program can do with it
  std::string architectures;  // of the program's kernels, in CMake's words: 80-real,90 (code and PTX),100-virtual (PTX)
  int driver = 0;             // the newest CUDA that the driver serves, 12040 is 12.4; 0: no driver
  int toolkit = 0;            // the version of CUDA that compiled the kernels
};

// Why CUDA finds no GPU, in one line, from the versions and CUDA's own message.
std::string why_no_gpu(const std::string& error, const GpuSurvey& survey);

// Why a GPU cannot run this program's kernels, in one line; empty: it can.
std::string why_unusable(const Gpu& gpu, const GpuSurvey& survey);

namespace cuda {
// Asks the driver. Throws nothing: `problem` says why there is no GPU.
GpuSurvey survey();
}  // namespace cuda

}  // namespace mpanet
