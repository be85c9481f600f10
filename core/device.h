// The device that a program computes on. Users name it: cpu, emu, cuda, cuda:N or auto.
#pragma once
#include <string>

#include "kernels/survey.h"
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

// The device of that name. UserError, one line, when there is no such device or it cannot be used. `why`, if given,
// gets a line that names the device. If the name is auto and an NVIDIA card is not used, it also gives the reason.
Device choose_device(const std::string& name, std::string* why = nullptr);
Device choose_device(const std::string& name, const GpuSurvey& survey, std::string* why = nullptr);

}  // namespace mpanet
