// The device that a program computes on. Users name it: cpu, emu, cuda, cuda:N or auto.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "kernels/types.h"

namespace mpanet {

struct Device {
  Device(Backend b = Backend::cpu, int i = 0) : backend(b), index(i) {}  // a Backend is its first device
  bool operator==(const Device&) const = default;
  Backend backend;
  int index;  // of the GPU; 0 for the others
};

std::string name_of(Device device);  // cpu, emu, cuda:1

// The text of every program's --device option.
constexpr const char* kDeviceHelp =
    "cpu; cuda or cuda:N, a GPU; emu, the GPU's kernels emulated on the CPU (slow, for tests); auto, a GPU if one can "
    "be used, else the CPU";

struct Gpu {
  std::string name;
  int major = 0, minor = 0;  // compute capability
  size_t bytes = 0;          // of memory
};

// The GPUs of this machine, and what this program was compiled for.
struct GpuSurvey {
  std::vector<Gpu> gpus;
  std::string problem;        // why there are none: no driver, too old a driver, ...
  std::string architectures;  // of the program's kernels, in CMake's words: 80-real,90 (code and PTX),100-virtual (PTX)
  int driver = 0;             // the newest CUDA that the driver serves, 12040 is 12.4; 0: no driver
  int toolkit = 0;            // the version of CUDA that compiled the kernels
};
GpuSurvey survey_gpus();

// Why CUDA finds no GPU, in one line, from the versions and CUDA's own message.
std::string why_no_gpu(const std::string& error, const GpuSurvey& survey);

// Why a GPU cannot run this program's kernels, in one line; empty: it can.
std::string why_unusable(const Gpu& gpu, const GpuSurvey& survey);

// UserError in one line when there is no such device or it cannot be used. `why`, if given, becomes one line that says
// which device was taken, and why if the name is auto.
Device choose_device(const std::string& name, std::string* why = nullptr);
Device choose_device(const std::string& name, const GpuSurvey& survey, std::string* why = nullptr);

}  // namespace mpanet
