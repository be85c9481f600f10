#include "mpanet/network/vendors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json_fields.h"
#include "core/base/quote.h"
#include "kernels/cuda/vendor.h"

namespace mpanet {
namespace {

constexpr const char* kCudnn = "cudnn";
constexpr const char* kCublas = "cublas";
constexpr const char* kOneDnn = "onednn";
constexpr const char* kNative = "native";

Provider parse(const std::string& text, const std::string& where, const std::string& library) {
  if (text == kNative) return Provider::Native;
  if (text == library) return Provider::Vendor;
  if (text == "auto") return Provider::Auto;
  fail("{}: expected native, {} or auto, got {}", where, library, text);
}

std::string text_of(Provider provider, const std::string& library) {
  return provider == Provider::Native ? kNative : provider == Provider::Vendor ? library : "auto";
}

bool is_of_cpu(const std::string& shape) { return shape.starts_with("cpu "); }
bool is_convolution(const std::string& shape) { return shape.starts_with("conv "); }

Vendors read_vendors(const std::string& file) {
  const nlohmann::ordered_json content = parse_ordered_json(read_text(file), file);
  const JsonFields fields(content, file);
  Vendors vendors;
  vendors.convolution = parse(fields.text("conv"), file + ": conv", kCudnn);
  vendors.product = parse(fields.text("gemm"), file + ": gemm", kCublas);
  if (content.contains("cpu_conv"))
    vendors.cpu_convolution = parse(fields.text("cpu_conv"), file + ": cpu_conv", kOneDnn);
  const JsonFields choices = fields.object("choices");
  for (const auto& [shape, value] : choices.all().items()) {
    const std::string choice = choices.text(shape);
    const char* library = is_of_cpu(shape) ? kOneDnn : is_convolution(shape) ? kCudnn : kCublas;
    if (choice != kNative && choice != library)
      fail("{}: choices, {}: expected native or {}, got {}", file, quote(shape), library, quote(choice));
    vendors.choices[shape] = choice;
  }
  return vendors;
}

#ifdef MPANET_HAS_ONEDNN
constexpr bool kHasOneDnn = true;
#else
constexpr bool kHasOneDnn = false;
#endif

// UserError if the library that the file's `key` chooses cannot run here. `why_not` is empty if it can.
void check_kept(Provider provider, const std::string& file, const char* key, const char* library,
                const std::string& why_not) {
  if (provider == Provider::Vendor && !why_not.empty())
    fail("{}: {}: expected native or auto here, got {}: {}", file, key, library, why_not);
}

// UserError for a library of the file that cannot run on this device. An option in place of the file's choice is
// checked where it is parsed, and by the backend.
void check_kept(const Vendors& vendors, const std::string& file, Device device, std::optional<Precision> precision,
                bool other_conv, bool other_gemm) {
  if (device.backend == Backend::cpu) {
    const bool computes = !precision || *precision == Precision::f32 || *precision == Precision::tf32;
    if (!other_conv)
      check_kept(vendors.cpu_convolution, file, "cpu_conv", kOneDnn,
                 !computes     ? fmt::format("it computes f32 and tf32, not {}", name_of(*precision))
                 : !kHasOneDnn ? "this build does not have it (MPANET_ONEDNN)"
                               : "");
    return;
  }
  const std::string no_gpu = device.backend == Backend::emu ? "it needs a GPU, not " + name_of(device) : "";
  if (!other_conv)
    check_kept(vendors.convolution, file, "conv", kCudnn,
               !no_gpu.empty()               ? no_gpu
               : !cuda::has_cudnn()          ? "this build does not have it (MPANET_CUDNN)"
               : precision == Precision::f64 ? "it computes no f64"
                                             : "");
  if (!other_gemm)
    check_kept(vendors.product, file, "gemm", kCublas,
               !no_gpu.empty()       ? no_gpu
               : !cuda::has_cublas() ? "this build does not have it (MPANET_CUBLAS)"
                                     : "");
}

}  // namespace

Vendors choose_vendors(const std::string& conv, const std::string& gemm, Device device, const std::string& file,
                       std::optional<Precision> precision) {
  Vendors vendors;
  if (!file.empty() && std::filesystem::exists(file)) {
    vendors = read_vendors(file);
    check_kept(vendors, file, device, precision, !conv.empty(), !gemm.empty());
  }
  if (device.backend == Backend::cpu) {
    if (conv == kCudnn) fail("--conv {}: expected a GPU, got {}", kCudnn, name_of(device));
    if (!gemm.empty()) fail("--gemm {}: expected a GPU, got {}", gemm, name_of(device));
    if (conv.empty()) return vendors;
    const Provider before = vendors.cpu_convolution;
    vendors.cpu_convolution = parse(conv, "--conv", kOneDnn);
    if (vendors.cpu_convolution != before)
      std::erase_if(vendors.choices, [](const auto& choice) { return is_of_cpu(choice.first); });
    return vendors;
  }
  if (conv == kOneDnn) fail("--conv {}: expected the CPU, got {}", kOneDnn, name_of(device));
  if (!conv.empty()) vendors.convolution = parse(conv, "--conv", kCudnn);
  if (!gemm.empty()) vendors.product = parse(gemm, "--gemm", kCublas);
  if (device.backend == Backend::cuda) return vendors;
  if (vendors.convolution == Provider::Vendor) fail("--conv {}: expected a GPU, got {}", kCudnn, name_of(device));
  if (vendors.product == Provider::Vendor) fail("--gemm {}: expected a GPU, got {}", kCublas, name_of(device));
  return vendors;
}

void write_vendors(const std::string& file, const Vendors& vendors) {
  bool native = vendors.convolution == Provider::Native && vendors.product == Provider::Native &&
                vendors.cpu_convolution == Provider::Auto;
  for (const auto& [shape, choice] : vendors.choices) native = native && choice == kNative;
  if (native && !std::filesystem::exists(file)) return;
  const nlohmann::ordered_json content = {{"conv", text_of(vendors.convolution, kCudnn)},
                                          {"gemm", text_of(vendors.product, kCublas)},
                                          {"cpu_conv", text_of(vendors.cpu_convolution, kOneDnn)},
                                          {"choices", vendors.choices}};
  write_file(file, content.dump(2) + "\n");
}

std::string convolution_providers(const Vendors& vendors, Device device) {
  const bool cpu = device.backend == Backend::cpu;
  if (!cpu && vendors.convolution == Provider::Native) return kNative;
  std::set<std::string> providers;
  for (const auto& [shape, choice] : vendors.choices)
    if (cpu ? is_of_cpu(shape) : is_convolution(shape)) providers.insert(choice);
  if (!cpu && vendors.convolution == Provider::Vendor) providers.insert(kCudnn);
  return providers.empty() ? kNative : fmt::format("{}", fmt::join(providers, ", "));
}

}  // namespace mpanet
