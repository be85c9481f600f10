// bench-conv: each pass of each convolution of the network on a GPU, one by one: the plan that our kernels choose, on
// request every other plan, and cuDNN in the same run. This is where the choice in kernels/cuda/plan.cuh can be
// checked.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "bench/conv_passes.h"
#include "core/base/command_line.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/output.h"
#include "core/base/program.h"
#include "core/base/text.h"
#include "mpanet/training/provenance.h"
#include "tests/ops/network_sizes.h"

using namespace mpanet;
using nlohmann::ordered_json;

namespace {

struct Options {
  std::string device = "auto", precision = "bf16", filter, json_path;
  NetworkSizes sizes;
  ConvPasses passes;
};

struct NamedPass {
  ConvPass pass;
  const char* name;
};
constexpr NamedPass kPasses[] = {
    {ConvPass::Forward, "forward"}, {ConvPass::BackwardData, "data"}, {ConvPass::BackwardWeights, "weights"}};

std::vector<PlanTime> time_pass(const Options& o, const ConvShape& shape, ConvPass pass) {
#define TIME(p) \
  if (o.precision == #p) return p::time_pass(o.passes, shape, pass);
  MPANET_EACH_PRECISION(TIME)
#undef TIME
  fail("--precision: this program was built without {} (MPANET_PRECISIONS)", o.precision);
}

std::string text(const ConvShape& s) {
  return fmt::format("{}x{}x{}x{} {}x{} k{} s{}", s.n, s.h, s.w, s.c, s.kh, s.kw, s.k, s.stride);
}

void run(const Options& o, OutputFile* json_file) {
  ordered_json json = {{"device", name_of(o.passes.device)}, {"precision", o.precision}, {"batch", o.sizes.batch}};
  fmt::print("{:<34} {:<8} {:<32} {:>9} {:>8} {:>8}\n", "convolution", "pass", "plan", "us", "TFLOP/s", "chosen/");
  for (const ConvShape& shape : backbone_convolutions(o.sizes))
    for (const auto& [pass, name] : kPasses) {
      const std::string what = text(shape) + " " + name;
      if ((shape.c == 3 && pass == ConvPass::BackwardData) || what.find(o.filter) == std::string::npos) continue;
      std::optional<double> chosen;
      for (const PlanTime& time : time_pass(o, shape, pass)) {
        if (!time.seconds) {
          fmt::print("{:<34} {:<8} {:<32} {}\n", text(shape), name, time.plan, time.note);
          continue;
        }
        if (!chosen) chosen = time.seconds;
        fmt::print("{:<34} {:<8} {:<32} {:>9.1f} {:>8.0f} {:>8.2f}\n", text(shape), name, time.plan,
                   *time.seconds * 1e6, shape.flops() * 1e-12 / *time.seconds, *chosen / *time.seconds);
        json["passes"].push_back(
            {{"shape", text(shape)}, {"pass", name}, {"plan", time.plan}, {"seconds", *time.seconds}});
      }
      std::fflush(stdout);
    }
  if (json_file != nullptr) write_file(*json_file, json.dump(1) + "\n");
}

int bench_conv(int argc, char** argv) {
  Options o;
  CommandLine app("Times each pass of the network's convolutions on a GPU, with every plan and with cuDNN",
                  "bench-conv");
  app.add_option("--device", o.device, kDeviceHelp)->capture_default_str();
  app.add_option("--precision", o.precision, "f32, tf32, bf16, f16 or f64")
      ->one_of({"f32", "tf32", "bf16", "f16", "f64"})
      ->capture_default_str();
  app.add_option("--filter", o.filter, "only passes whose text holds this, as '3x3 k256' or 'weights'");
  add_whole_number(app, "--batch", o.sizes.batch, 1, 4096, "pictures");
  add_number(app, "--seconds", o.passes.seconds, 0.001, 60, "time given to each plan");
  app.add_flag("--plans", o.passes.every_plan, "every plan, not the chosen one only");
  app.add_option("--json", o.json_path, "write the numbers to this file");
  app.add_version([] { return version_text("bench-conv"); });
  if (const auto code = parse_command_line(app, argc, argv)) return *code;
  o.passes.tf32 = o.precision == "tf32";
  if (o.passes.tf32) o.precision = "f32";
  std::string why;
  o.passes.device = choose_device(o.device, &why);
  if (o.passes.device.backend != Backend::cuda)
    fail("--device: expected a GPU, got {}: this program times its kernels only", name_of(o.passes.device));
  const auto json_file = output_for_later(o.json_path);
  keep_stdout_for({o.json_path});
  fmt::print("device: {}\n", why);
  run(o, json_file.get());
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return program_main("bench-conv", argc, argv, bench_conv); }
