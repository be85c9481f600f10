#include "mpanet/network/precision.h"

#include <algorithm>
#include <utility>

#include "core/base/error.h"
#include "core/base/text.h"

namespace mpanet {
namespace {

constexpr std::pair<Precision, const char*> kNames[] = {{Precision::f32, "f32"},
                                                        {Precision::tf32, "tf32"},
                                                        {Precision::bf16, "bf16"},
                                                        {Precision::f16, "f16"},
                                                        {Precision::f64, "f64"}};

constexpr const char* kAuto = "auto";

// Those of bf16 and TF32 came together.
bool has_bf16_tensor_cores(const Gpu& gpu) { return gpu.major >= 8; }

std::string described(const Gpu& gpu) {
  return fmt::format("{} has compute capability {}.{}", gpu.name, gpu.major, gpu.minor);
}

struct Automatic {
  std::vector<Precision> order;  // the best one first
  std::string reason;
};

Automatic automatic(Device device, const Gpu* gpu) {
  if (device.backend == Backend::emu) return {{Precision::f32}, "under the emulation"};
  if (gpu == nullptr) return {{Precision::f32}, "on a CPU"};
  const std::string reason = described(*gpu) + ", bf16 tensor cores need 8.0";
  if (has_bf16_tensor_cores(*gpu)) return {{Precision::bf16, Precision::f16, Precision::f32}, reason};
  return {{Precision::f16, Precision::f32}, reason};
}

std::string names_of(const std::vector<Precision>& precisions) {
  std::vector<std::string> names;
  for (const Precision precision : precisions) names.push_back(name_of(precision));
  return join(names);
}

Precision choose_automatically(Device device, const Gpu* gpu, const std::vector<Precision>& built, std::string* why) {
  const auto [order, reason] = automatic(device, gpu);
  std::vector<Precision> missing;
  for (const Precision precision : order) {
    if (std::find(built.begin(), built.end(), precision) == built.end()) {
      missing.push_back(precision);
      continue;
    }
    if (why != nullptr)
      *why = fmt::format("{} ({}: {}{})", name_of(precision), kAuto, reason,
                         missing.empty() ? "" : "; this program was built without " + names_of(missing));
    return precision;
  }
  fail("precision: auto: {}: expected {}, which this program was built without (MPANET_PRECISIONS); it has {}", reason,
       names_of(order), names_of(built));
}

}  // namespace

std::string name_of(Precision precision) {
  for (const auto& [known, name] : kNames)
    if (known == precision) return name;
  MPANET_CHECK(false, "no precision {}", static_cast<int>(precision));
}

Precision parse_precision(const std::string& text, const std::string& where) {
  for (const auto& [precision, name] : kNames)
    if (text == name) return precision;
  fail("{}: expected f32, tf32, bf16, f16 or f64, got {}", where, text);
}

std::optional<Precision> parse_precision_or_auto(const std::string& text, const std::string& where) {
  if (text == kAuto) return std::nullopt;
  for (const auto& [precision, name] : kNames)
    if (text == name) return precision;
  fail("{}: expected auto, f32, tf32, bf16, f16 or f64, got {}", where, text);
}

Precision choose_precision(std::optional<Precision> wanted, Device device, const GpuSurvey& survey,
                           const std::vector<Precision>& built, std::string* why) {
  const Gpu* gpu = device.backend == Backend::cuda ? &survey.gpus.at(static_cast<size_t>(device.index)) : nullptr;
  if (!wanted) return choose_automatically(device, gpu, built, why);
  const bool newer = *wanted == Precision::bf16 || *wanted == Precision::tf32;
  if (newer && gpu != nullptr && !has_bf16_tensor_cores(*gpu))
    fail("precision: {}: expected a GPU of compute capability 8.0 or newer, but {}; f16 runs on it", name_of(*wanted),
         described(*gpu));
  if (why != nullptr) *why = name_of(*wanted);
  return *wanted;
}

Precision choose_precision(std::optional<Precision> wanted, Device device, std::string* why) {
  // The survey calls the driver, which takes time.
  return choose_precision(wanted, device, device.backend == Backend::cuda ? cuda::survey() : GpuSurvey{},
                          built_precisions(), why);
}

}  // namespace mpanet
