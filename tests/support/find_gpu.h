#pragma once
#include <cstdlib>
#include <optional>

#include "core/device.h"

namespace mpanet {

// MPANET_TEST_DEVICE, else the emulated GPU; nothing in a build without one.
inline std::optional<Device> find_gpu() {
  if (const char* name = std::getenv("MPANET_TEST_DEVICE")) return choose_device(name);
#if defined(MPANET_HAS_EMU)
  return Device(Backend::emu);
#else
  return {};
#endif
}

}  // namespace mpanet
