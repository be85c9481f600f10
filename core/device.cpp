#include "core/device.h"

#include <charconv>
#include <filesystem>

#include "core/base/error.h"

namespace mpanet {
namespace {

// Whether NVIDIA's kernel module shows a card. This needs no CUDA.
bool machine_has_card() {
  std::error_code none;
  const std::filesystem::path cards = "/proc/driver/nvidia/gpus";
  return std::filesystem::exists("/dev/nvidia0", none) ||
         (std::filesystem::exists(cards, none) && !std::filesystem::is_empty(cards, none));
}

GpuSurvey survey_machine() {
  GpuSurvey survey = cuda::survey();
  survey.card = !survey.gpus.empty() || machine_has_card();
  return survey;
}

std::string described(const Gpu& gpu, int index) {
  return fmt::format("cuda:{} ({}, compute capability {}.{}, {:.1f} GiB)", index, gpu.name, gpu.major, gpu.minor,
                     static_cast<double>(gpu.bytes) / (1 << 30));
}

Device choose_gpu(const GpuSurvey& survey, std::string* why) {
  if (survey.gpus.empty()) fail("device cuda: {}", survey.problem);
  for (size_t i = 0; i < survey.gpus.size(); i++) {
    if (!why_unusable(survey.gpus[i], survey).empty()) continue;
    if (why != nullptr) *why = described(survey.gpus[i], static_cast<int>(i));
    return {Backend::cuda, static_cast<int>(i)};
  }
  fail("device cuda: {}", why_unusable(survey.gpus[0], survey));
}

Device choose_numbered_gpu(const std::string& name, const GpuSurvey& survey, std::string* why) {
  int index = -1;
  const char* end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data() + 5, end, index);
  if (error != std::errc() || rest != end || index < 0) fail("device {}: expected cuda:N with N from 0", name);
  if (survey.gpus.empty()) fail("device {}: {}", name, survey.problem);
  const int count = static_cast<int>(survey.gpus.size());
  if (index >= count) {
    if (count == 1) fail("device {}: there is one GPU, cuda:0", name);
    fail("device {}: there are {} GPUs, cuda:0 to cuda:{}", name, count, count - 1);
  }
  const Gpu& gpu = survey.gpus[static_cast<size_t>(index)];
  const std::string problem = why_unusable(gpu, survey);
  if (!problem.empty()) fail("device {}: {}", name, problem);
  if (why != nullptr) *why = described(gpu, index);
  return {Backend::cuda, index};
}

}  // namespace

std::string name_of(Device device) {
  switch (device.backend) {
    case Backend::cpu:
      return "cpu";
    case Backend::emu:
      return "emu";
    case Backend::cuda:
      return fmt::format("cuda:{}", device.index);
  }
  throw CheckError("name_of: no such backend");
}

Device choose_device(const std::string& name, const GpuSurvey& survey, std::string* why) {
  if (name == "auto") {
    try {
      std::string gpu;
      const Device device = choose_gpu(survey, &gpu);
      if (why != nullptr) *why = gpu;
      return device;
    } catch (const UserError& e) {
      if (why != nullptr) *why = survey.card ? fmt::format("cpu ({})", e.what()) : "cpu";
      return Backend::cpu;
    }
  }
  if (name == "cuda") return choose_gpu(survey, why);
  if (name.starts_with("cuda:")) return choose_numbered_gpu(name, survey, why);
  if (name != "cpu" && name != "emu") fail("device {}: expected cpu, emu, cuda, cuda:N or auto", name);
#if !defined(MPANET_HAS_EMU)
  if (name == "emu") fail("device emu: this program was built without the emulation (MPANET_EMU)");
#endif
  if (why != nullptr) *why = name;
  return name == "cpu" ? Backend::cpu : Backend::emu;
}

Device choose_device(const std::string& name, std::string* why) {
  // The survey calls the driver, which takes time, so it is made only for cuda and auto.
  const bool gpus = name == "auto" || name == "cuda" || name.starts_with("cuda:");
  return choose_device(name, gpus ? survey_machine() : GpuSurvey{}, why);
}

}  // namespace mpanet
