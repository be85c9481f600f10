// Runs kernels under the emulation with many schedules.
#pragma once
#include <fmt/format.h>

#include <cstring>
#include <string>
#include <vector>

#include "kernels/emu/control.h"

namespace mpanet {

constexpr uint32_t kSchedules = 20;

// Restores the emulation's seed.
class KeepSeed {
 public:
  KeepSeed() = default;
  ~KeepSeed() { simt::set_seed(seed_); }
  KeepSeed(const KeepSeed&) = delete;
  KeepSeed& operator=(const KeepSeed&) = delete;

 private:
  uint32_t seed_ = simt::seed();
};

// Runs launch(), which fills `output`, under kSchedules seeds. `clear` is the output's content before each launch.
// Returns kernel, seed and the first element whose bits differ from `expected`, or an empty text.
template <class T, class Launch>
std::string schedule_difference(const std::string& kernel, std::vector<T>& output, const std::vector<T>& clear,
                                const std::vector<T>& expected, const Launch& launch) {
  const KeepSeed keep;
  for (uint32_t seed = 0; seed < kSchedules; seed++) {
    simt::set_seed(seed);
    output = clear;
    launch();
    for (size_t i = 0; i < output.size(); i++)
      if (std::memcmp(&output[i], &expected[i], sizeof(T)) != 0)
        return fmt::format("{}: under seed {} element {} is {}, expected {}", kernel, seed, i, output[i], expected[i]);
  }
  return {};
}

}  // namespace mpanet
