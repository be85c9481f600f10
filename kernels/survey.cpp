#include "kernels/survey.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "core/base/error.h"

namespace mpanet {
namespace {

std::string version(int cuda) { return fmt::format("{}.{}", cuda / 1000, cuda % 1000 / 10); }

// An architecture that the kernels were compiled for: 90-real is machine code, 90-virtual is PTX, 90 is both.
struct Compiled {
  int capability = 0;
  bool code = true, ptx = true;
  bool exact = false;  // 90a: for this architecture only
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

}  // namespace

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

}  // namespace mpanet
