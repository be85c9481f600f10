// --conv and --gemm, and the file that keeps them in a run folder.
#include <doctest/doctest.h>

#include <filesystem>

#include "core/base/error.h"
#include "core/base/file.h"
#include "mpanet/network/vendors.h"
#include "tests/support/temporary_folder.h"

namespace mpanet {
namespace {

std::string refusal(const std::string& conv, const std::string& gemm, Device device, const std::string& file = "",
                    std::optional<Precision> precision = std::nullopt) {
  try {
    choose_vendors(conv, gemm, device, file, precision);
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("--conv and --gemm: each device's words") {
  CHECK(choose_vendors("", "", Backend::cpu).cpu_convolution == Provider::Auto);
  CHECK(choose_vendors("native", "", Backend::cpu).cpu_convolution == Provider::Native);
  CHECK(choose_vendors("onednn", "", Backend::cpu).cpu_convolution == Provider::Vendor);
  CHECK(choose_vendors("onednn", "", Backend::cpu).convolution == Provider::Native);
  CHECK(choose_vendors("", "", Backend::cuda).convolution == Provider::Native);
  CHECK(choose_vendors("cudnn", "auto", Backend::cuda).convolution == Provider::Vendor);
  CHECK(choose_vendors("cudnn", "auto", Backend::cuda).product == Provider::Auto);
  CHECK(choose_vendors("cudnn", "auto", Backend::cuda).cpu_convolution == Provider::Auto);
  CHECK(refusal("fast", "", Backend::cpu) == "--conv: expected native, onednn or auto, got fast");
  CHECK(refusal("fast", "", Backend::cuda) == "--conv: expected native, cudnn or auto, got fast");
  CHECK(refusal("cudnn", "", Backend::cpu) == "--conv cudnn: expected a GPU, got cpu");
  CHECK(refusal("cudnn", "", Backend::emu) == "--conv cudnn: expected a GPU, got emu");
  CHECK(refusal("onednn", "", {Backend::cuda, 1}) == "--conv onednn: expected the CPU, got cuda:1");
  CHECK(refusal("", "native", Backend::cpu) == "--gemm native: expected a GPU, got cpu");
  CHECK(refusal("", "cublas", Backend::emu) == "--gemm cublas: expected a GPU, got emu");
}

TEST_CASE("vendors.json: a GPU's and the CPU's choices side by side") {
  const TemporaryFolder folder;
  const std::string file = folder / "vendors.json";
  write_vendors(file, {});
  CHECK(!std::filesystem::exists(file));
  Vendors vendors;
  vendors.choices["cpu conv f32 forward"] = "native";
  write_vendors(file, vendors);
  CHECK(!std::filesystem::exists(file));

  vendors.choices["cpu conv f32 backward"] = "onednn";
  write_vendors(file, vendors);
  CHECK(choose_vendors("", "", Backend::cpu, file).choices == vendors.choices);
  CHECK(choose_vendors("auto", "", Backend::cpu, file).choices == vendors.choices);
  // A GPU's default stays what it is.
  CHECK(choose_vendors("", "", Backend::cuda, file).convolution == Provider::Native);

  Vendors gpu = choose_vendors("cudnn", "", Backend::cuda, file);
  gpu.choices["conv f32 forward"] = "native";
  write_vendors(file, gpu);
  CHECK(choose_vendors("", "", Backend::cpu, file).convolution == Provider::Vendor);
  // Another choice replaces those that the CPU's rule made.
  const Vendors native = choose_vendors("native", "", Backend::cpu, file);
  CHECK(native.cpu_convolution == Provider::Native);
  CHECK(native.convolution == Provider::Vendor);
  CHECK(native.choices == std::map<std::string, std::string>{{"conv f32 forward", "native"}});
  write_vendors(file, native);
  CHECK(choose_vendors("", "", Backend::cpu, file).cpu_convolution == Provider::Native);

  // Of an earlier version.
  write_file(file, R"({"conv": "auto", "gemm": "native", "choices": {}})");
  CHECK(choose_vendors("", "", Backend::cpu, file).cpu_convolution == Provider::Auto);
  write_file(file, R"({"conv": "auto", "gemm": "native", "cpu_conv": "cudnn", "choices": {}})");
  CHECK(refusal("", "", Backend::cpu, file) == file + ": cpu_conv: expected native, onednn or auto, got cudnn");
  for (const auto& [shape, library] : {std::pair("cpu conv a", "onednn"), {"conv a", "cudnn"}, {"gemm a", "cublas"}}) {
    write_file(file, R"({"conv": "auto", "gemm": "auto", "choices": {")" + std::string(shape) + R"(": "foo"}})");
    CHECK(refusal("", "", Backend::cpu, file) ==
          file + ": choices, \"" + shape + "\": expected native or " + library + ", got \"foo\"");
  }
}

TEST_CASE("a library of vendors.json that cannot run here: the file and its key, unless an option replaces it") {
  const TemporaryFolder folder;
  const std::string file = folder / "vendors.json";
  write_file(file, R"({"conv": "cudnn", "gemm": "cublas", "cpu_conv": "onednn", "choices": {}})");
  for (const Precision precision : {Precision::f64, Precision::bf16, Precision::f16})
    CHECK(refusal("", "", Backend::cpu, file, precision) ==
          file + ": cpu_conv: expected native or auto here, got onednn: it computes f32 and tf32, not " +
              name_of(precision));
  CHECK(refusal("native", "", Backend::cpu, file, Precision::f64) == "");
  for (const Precision precision : {Precision::f32, Precision::tf32})
    if (const std::string text = refusal("", "", Backend::cpu, file, precision); !text.empty())
      CHECK(text == file +
                        ": cpu_conv: expected native or auto here, got onednn: this build does not have it "
                        "(MPANET_ONEDNN)");
  const std::string here = " expected native or auto here, got ";
  CHECK(refusal("", "", Backend::emu, file) == file + ": conv:" + here + "cudnn: it needs a GPU, not emu");
  CHECK(refusal("native", "", Backend::emu, file) == file + ": gemm:" + here + "cublas: it needs a GPU, not emu");
  CHECK(refusal("native", "native", Backend::emu, file) == "");
  CHECK(refusal("native", "native", Backend::cuda, file, Precision::f64) == "");
  const std::string on_gpu = refusal("", "native", Backend::cuda, file, Precision::f64);
  CHECK_MESSAGE(on_gpu.starts_with(file + ": conv:" + here + "cudnn: "), on_gpu);
}

TEST_CASE("what runs convolutions, for the provenance") {
  Vendors vendors;
  CHECK(convolution_providers(vendors, Backend::cpu) == "native");
  vendors.choices = {{"cpu conv a", "onednn"}, {"conv a", "cudnn"}};
  CHECK(convolution_providers(vendors, Backend::cpu) == "onednn");
  CHECK(convolution_providers(vendors, Backend::cuda) == "native");
  vendors.choices["cpu conv b"] = "native";
  CHECK(convolution_providers(vendors, Backend::cpu) == "native, onednn");
  vendors.convolution = Provider::Auto;
  CHECK(convolution_providers(vendors, Backend::cuda) == "cudnn");
}

}  // namespace
}  // namespace mpanet
