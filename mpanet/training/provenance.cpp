#include "mpanet/training/provenance.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json_fields.h"
#include "core/base/output.h"
#include "core/base/text.h"
#include "kernels/cpu/panel_kernels.h"
#include "kernels/survey.h"
#include "mpanet_commit.h"
#ifdef MPANET_HAS_ONEDNN
#  include <oneapi/dnnl/dnnl.h>
#endif
#ifdef MPANET_HAS_JPEG
#  include <cstdio>
// jpeglib.h needs FILE.
#  include <jpeglib.h>
#endif
#ifdef MPANET_HAS_PNG
#  include <png.h>
#endif
#ifdef MPANET_HAS_ZLIB
#  include <zlib.h>
#endif
#ifdef MPANET_HAS_YAML
#  include <yaml.h>
#endif

namespace mpanet {
namespace {

using nlohmann::ordered_json;

#define MPANET_TEXT_OF(x) #x
#define MPANET_TEXT(x) MPANET_TEXT_OF(x)

std::string compiled_for() {
  std::string set;
#if defined(__x86_64__)
  set = "x86-64";
#elif defined(__aarch64__)
  set = "aarch64";
#else
  set = "other";
#endif
#ifdef __AVX2__
  set += " avx2";
#endif
#ifdef __FMA__
  set += " fma";
#endif
#ifdef __AVX512F__
  set += " avx512f";
#endif
#ifdef __AVX512VNNI__
  set += " avx512vnni";
#endif
#ifdef __AVX512BF16__
  set += " avx512bf16";
#endif
#ifdef __AMX_TILE__
  set += " amx";
#endif
  return set;
}

// The compiler's flags, and what the kernels of panel_kernels.h and oneDNN chose on this machine.
std::string instruction_set() {
  std::string set = fmt::format("{}; panel kernels {}", compiled_for(), cpu::panel_kernels().instruction_set);
#ifdef MPANET_HAS_ONEDNN
  set += fmt::format("; oneDNN level {:#x}", static_cast<unsigned>(dnnl_get_effective_cpu_isa()));
#endif
  return set;
}

std::string processor() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name"))
      if (const size_t colon = line.find(": "); colon != line.npos) return line.substr(colon + 2);
  return "unknown";
}

ordered_json libraries() {
  ordered_json versions;
#ifdef MPANET_HAS_ONEDNN
  const dnnl_version_t* dnnl = dnnl_version();
  versions["oneDNN"] = fmt::format("{}.{}.{}", dnnl->major, dnnl->minor, dnnl->patch);
#else
  versions["oneDNN"] = nullptr;
#endif
#ifdef MPANET_HAS_JPEG
  versions["libjpeg-turbo"] = MPANET_TEXT(LIBJPEG_TURBO_VERSION);
#else
  versions["libjpeg-turbo"] = nullptr;
#endif
#ifdef MPANET_HAS_PNG
  versions["libpng"] = png_get_libpng_ver(nullptr);
#else
  versions["libpng"] = nullptr;
#endif
#ifdef MPANET_HAS_ZLIB
  versions["zlib"] = zlibVersion();
#else
  versions["zlib"] = nullptr;
#endif
#ifdef MPANET_HAS_YAML
  versions["libyaml"] = yaml_get_version_string();
#else
  versions["libyaml"] = nullptr;
#endif
  versions["fmt"] = fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100);
  versions["nlohmann_json"] =
      fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH);
  return versions;
}

}  // namespace

ordered_json build_provenance() {
  ordered_json all;
  all["program"] = "mpanet " MPANET_VERSION;
  all["commit"] = MPANET_COMMIT;
#ifdef __clang__
  all["compiler"] = "clang " __clang_version__;
#else
  all["compiler"] = "gcc " __VERSION__;
#endif
  all["build"] = MPANET_BUILD_TYPE;
  all["instruction_set"] = instruction_set();
  all["processor"] = processor();
  all["libraries"] = libraries();
  return all;
}

std::string version_text(const std::string& program) {
  const ordered_json all = build_provenance();
  std::string text = fmt::format("{} ({})\n", program, all["program"].get<std::string>());
  for (const auto& [key, value] : all.items())
    if (value.is_string() && key != "program") text += fmt::format("{}: {}\n", key, value.get<std::string>());
  for (const auto& [name, version] : all["libraries"].items())
    text += fmt::format("{}: {}\n", name, version.is_null() ? "not in this build" : version.get<std::string>());
  return text;
}

ordered_json run_provenance(int threads, uint64_t seed, const std::string& precision, Device device,
                            const std::string& convolutions) {
  ordered_json all = build_provenance();
  all["threads"] = threads;
  all["seed"] = seed;
  all["precision"] = precision;
  all["device"] = name_of(device);
  all["convolutions"] = convolutions;
  all["gpu"] = nullptr;
  if (device.backend == Backend::cuda) {
    const std::vector<Gpu> gpus = cuda::survey().gpus;
    if (static_cast<size_t>(device.index) < gpus.size()) all["gpu"] = gpus[static_cast<size_t>(device.index)].name;
  }
  return all;
}

std::vector<std::string> provenance_differences(const ordered_json& before, const ordered_json& now) {
  std::vector<std::string> differences;
  for (const char* key : {"device", "gpu", "precision", "convolutions", "processor", "threads", "instruction_set",
                          "commit", "compiler", "build", "libraries"}) {
    if (!before.contains(key) || before[key] == now[key]) continue;
    if (before[key].is_object())
      differences.push_back(fmt::format("{}: other versions than before", key));
    else
      differences.push_back(fmt::format("{}: {} before, {} now", key, shown(before[key]), shown(now[key])));
  }
  return differences;
}

std::optional<ordered_json> read_provenance(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::nullopt;
  ordered_json all = parse_ordered_json(read_text(path), path);
  const JsonFields fields(all, path);
  if (fields.has("resumed"))
    for (const ordered_json& entry : fields.list("resumed"))
      if (!entry.is_object()) fields.refuse("resumed", "a list of objects", &entry);
  return all;
}

void record_provenance(const std::string& path, const ordered_json& now, const std::optional<ordered_json>& before,
                       int64_t step) {
  ordered_json all = now;
  if (before) {
    all = *before;
    ordered_json& resumed = all["resumed"];
    const auto differences = provenance_differences(resumed.empty() ? *before : resumed.back(), now);
    if (!differences.empty())
      note(fmt::format("mpanet-train: warning: {}; the run may go on with other bits than in one go",
                       join(differences, "; ")));
    ordered_json entry = now;
    entry["step"] = step;
    resumed.push_back(entry);
  }
  write_file(path, all.dump(2) + "\n");
}

}  // namespace mpanet
