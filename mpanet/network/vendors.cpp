#include "mpanet/network/vendors.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json_fields.h"

namespace mpanet {
namespace {

constexpr const char* kCudnn = "cudnn";
constexpr const char* kCublas = "cublas";

Provider parse(const std::string& text, const std::string& where, const std::string& library) {
  if (text == "native") return Provider::Native;
  if (text == library) return Provider::Vendor;
  if (text == "auto") return Provider::Auto;
  fail("{}: expected native, {} or auto, got {}", where, library, text);
}

std::string text_of(Provider provider, const std::string& library) {
  return provider == Provider::Native ? "native" : provider == Provider::Vendor ? library : "auto";
}

Vendors read_vendors(const std::string& file) {
  const nlohmann::ordered_json content = parse_ordered_json(read_text(file), file);
  const JsonFields fields(content, file);
  Vendors vendors;
  vendors.convolution = parse(fields.text("conv"), file + ": conv", kCudnn);
  vendors.product = parse(fields.text("gemm"), file + ": gemm", kCublas);
  const JsonFields choices = fields.object("choices");
  for (const auto& [shape, choice] : choices.all().items()) vendors.choices[shape] = choices.text(shape);
  return vendors;
}

}  // namespace

Vendors choose_vendors(const std::string& conv, const std::string& gemm, Device device, const std::string& file) {
  Vendors vendors;
  if (!file.empty() && std::filesystem::exists(file)) vendors = read_vendors(file);
  if (!conv.empty()) vendors.convolution = parse(conv, "--conv", kCudnn);
  if (!gemm.empty()) vendors.product = parse(gemm, "--gemm", kCublas);
  if (device.backend == Backend::cuda) return vendors;
  if (vendors.convolution == Provider::Vendor) fail("--conv {}: expected a GPU, got {}", kCudnn, name_of(device));
  if (vendors.product == Provider::Vendor) fail("--gemm {}: expected a GPU, got {}", kCublas, name_of(device));
  return vendors;
}

void write_vendors(const std::string& file, const Vendors& vendors) {
  const bool native = vendors.convolution == Provider::Native && vendors.product == Provider::Native;
  if (native && !std::filesystem::exists(file)) return;
  const nlohmann::ordered_json content = {{"conv", text_of(vendors.convolution, kCudnn)},
                                          {"gemm", text_of(vendors.product, kCublas)},
                                          {"choices", vendors.choices}};
  write_file(file, content.dump(2) + "\n");
}

}  // namespace mpanet
