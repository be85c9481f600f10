#include "core/device.h"

#include <algorithm>
#include <charconv>

#include "core/error.h"

namespace mpanet {
namespace cuda {
GpuSurvey survey();  // kernels/cuda/survey.cpp or core/no_cuda.cpp
}

GpuSurvey survey_gpus() { return cuda::survey(); }

namespace {

std::string version(int cuda) { return fmt::format("{}.{}", cuda / 1000, cuda % 1000 / 10); }

std::string described(const Gpu& gpu, int index) {
  return fmt::format("cuda:{} ({}, compute capability {}.{}, {:.1f} GiB)", index, gpu.name, gpu.major, gpu.minor,
                     static_cast<double>(gpu.bytes) / (1 << 30));
}

// One of the architectures that the kernels were compiled for: 90-real is machine code, 90-virtual is PTX, 90 is both.
struct Compiled {
  int capability = 0;
  bool code = true, ptx = true;
  bool exact = false;  // 90a: runs on this architecture only
};

std::vector<Compiled> parse_architectures(const std::string& text) {
  std::vector<Compiled> all;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string one = text.substr(begin, end - begin);
    begin = end + 1;
    Compiled compiled;
    const char* rest = std::from_chars(one.data(), one.data() + one.size(), compiled.capability).ptr;
    const std::string suffix(rest, one.data() + one.size());
    compiled.exact = !suffix.empty() && suffix[0] != '-';
    compiled.code = !suffix.ends_with("-virtual");
    compiled.ptx = !suffix.ends_with("-real");
    all.push_back(compiled);
  }
  return all;
}

// Machine code runs on its own architecture and on later ones of the same major number.
bool code_runs(const Compiled& compiled, int capability) {
  if (compiled.exact) return compiled.capability == capability;
  return compiled.capability / 10 == capability / 10 && compiled.capability <= capability;
}

bool ptx_compiles(const Compiled& compiled, int capability) {
  return compiled.exact ? compiled.capability == capability : compiled.capability <= capability;
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

std::string why_no_gpu(const std::string& error, const GpuSurvey& survey) {
  if (survey.driver == 0) return "there is no NVIDIA driver here";
  if (survey.driver / 1000 < survey.toolkit / 1000)
    return fmt::format("the NVIDIA driver is too old: it serves CUDA up to {}, this program needs {}",
                       version(survey.driver), version(survey.toolkit));
  if (error.empty()) return "the NVIDIA driver shows no GPU (is CUDA_VISIBLE_DEVICES set?)";
  return fmt::format("the NVIDIA driver shows no GPU: {} (is CUDA_VISIBLE_DEVICES set?)", error);
}

std::string why_unusable(const Gpu& gpu, const GpuSurvey& survey) {
  const int capability = gpu.major * 10 + gpu.minor;
  bool ptx = false;
  for (const Compiled& compiled : parse_architectures(survey.architectures)) {
    if (compiled.code && code_runs(compiled, capability)) return "";
    ptx |= compiled.ptx && ptx_compiles(compiled, capability);
  }
  if (ptx && survey.driver >= survey.toolkit) return "";
  const std::string card = fmt::format("{} has compute capability {}.{}", gpu.name, gpu.major, gpu.minor);
  if (ptx)
    return fmt::format("{}; the program has only PTX of CUDA {} for it, the driver compiles PTX up to CUDA {}", card,
                       version(survey.toolkit), version(survey.driver));
  return fmt::format("{}; the program's kernels are compiled for {} (CMAKE_CUDA_ARCHITECTURES)", card,
                     survey.architectures);
}

Device choose_device(const std::string& name, const GpuSurvey& survey, std::string* why) {
  if (name == "auto") {
    try {
      std::string gpu;
      const Device device = choose_gpu(survey, &gpu);
      if (why != nullptr) *why = gpu;
      return device;
    } catch (const UserError& e) {
      if (why != nullptr) *why = fmt::format("cpu ({})", e.what());
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
  // The driver is asked only for cuda and auto: asking takes time.
  const bool gpus = name == "auto" || name == "cuda" || name.starts_with("cuda:");
  return choose_device(name, gpus ? survey_gpus() : GpuSurvey{}, why);
}

}  // namespace mpanet
