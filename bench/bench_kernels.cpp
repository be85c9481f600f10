// bench-kernels: the forward and backward pass of every op (tests/ops) at the sizes of MPANet's training step. It
// reports time, bytes and operations per second, the fraction of the device's peak, the time relative to the device's
// copy and to the vendor's library in the same run, and the time of each kernel in a pass.
#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "bench/launch_list.h"
#include "bench/op_report.h"
#include "bench/pass_timer.h"
#include "core/base/command_line.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/output.h"
#include "core/base/program.h"
#include "core/base/progress.h"
#include "core/base/text.h"
#include "core/base/threads.h"
#include "mpanet/training/provenance.h"

using namespace mpanet;
using nlohmann::ordered_json;

namespace {

struct Options {
  std::string device = "auto", filter, json_path, launches_path;
  std::vector<std::string> precisions = {"f32"};
  int batch = 0;
  double seconds = 0.2;
  bool kernels = false, rehearse = false;
};

constexpr NetworkSizes kRehearsal{.batch = 2, .height = 64, .width = 32, .samples = 8, .narrow = 16};

// The indices of the benchmarks that --filter selects.
std::vector<size_t> chosen(const Options& o, const std::vector<OpName>& all) {
  std::vector<size_t> indices;
  for (size_t i = 0; i < all.size(); i++)
    if ((all[i].op + " " + all[i].shapes).find(o.filter) != std::string::npos) indices.push_back(i);
  if (indices.empty()) fail("--filter: expected a part of an op's name or shape, got {}", quote(o.filter));
  return indices;
}

ordered_json measure(Device device, const std::string& precision, const Options& o, const NetworkSizes& sizes) {
  const OpPrecision p = op_precision_on(device, precision);
  PassTimer timer(device, p, sizes, o.seconds, o.kernels);
  print_heading(precision, timer.rates(), device.backend == Backend::cpu ? "oneDNN" : "vendor");
  ordered_json json = {{"precision", precision}, {"rates", to_json(timer.rates())}};
  const std::vector<OpName> all = p.benchmarks(sizes);
  for (const size_t index : chosen(o, all))
    for (const PassResult& result : timer.time(index, all[index])) {
      print_result(result, timer.rates());
      json["passes"].push_back(to_json(result, timer.rates()));
    }
  return json;
}

// Runs each pass once, at sizes that are small enough for the emulation, and reports which kernels it calls.
ordered_json rehearse(Device device, const std::string& precision, const Options& o, const NetworkSizes& sizes) {
  const OpPrecision p = op_precision_on(device, precision);
  ordered_json json = {{"precision", precision}};
  const auto stream = stream_for(device, p);
  const std::vector<OpName> all = p.benchmarks(sizes);
  const std::vector<size_t> indices = chosen(o, all);
  for (const size_t index : indices) {
    const auto instance = p.instance(sizes, index, stream, InstanceMode::Run);
    Context& context = instance->context();
    context.set_profiling(true);
    instance->forward();
    if (all[index].recording) {
      instance->prepare_backward();
      instance->backward();
    }
    context.synchronize();
    ordered_json kernels = ordered_json::array();
    for (const auto& [kernel, statistics] : context.take_profile()) kernels.push_back(kernel);
    json["passes"].push_back({{"op", all[index].op}, {"shape", all[index].shapes}, {"kernels", kernels}});
  }
  fmt::print("{}: {} ran, none was timed\n", precision, counted(indices.size(), "op"));
  return json;
}

// Lists launches at the network's sizes, and at small and odd sizes, for which kernels have variants.
void list_launches(const Options& o) {
  NetworkSizes network, odd = kRehearsal;
  if (o.batch > 0) network.batch = o.batch;
  odd.odd = true;
  std::vector<LaunchedOps> lists;
  for (const std::string& precision : o.precisions)
    for (const NetworkSizes& sizes : {network, kRehearsal, odd}) {
      const OpPrecision p = op_precision_of(precision);
      lists.push_back({p, sizes, chosen(o, p.benchmarks(sizes))});
    }
  write_launches(o.launches_path, lists);
}

void run(const Options& o) {
  const auto json_file = output_for_later(o.json_path);
  keep_stdout_for({o.json_path});
  std::string why;
  const Device device = choose_device(o.device, &why);
  const bool rehearsal = o.rehearse || device.backend == Backend::emu, cpu = device.backend == Backend::cpu;
  NetworkSizes sizes;
  if (rehearsal) sizes = kRehearsal;
  if (cpu) sizes.batch = 2;
  if (o.batch > 0) sizes.batch = o.batch;
  fmt::print("device: {}\nops of MPANet at batch {} of {}x{}, losses of {}\n", why, sizes.batch, sizes.height,
             sizes.width, counted(sizes.samples, "row"));
  if (rehearsal) fmt::print("a rehearsal at small sizes, nothing is timed\n");
  if (cpu && !rehearsal) {
    fmt::print("no GPU is timed here: these are the CPU backend's kernels, held against oneDNN and memcpy\n");
    fmt::print("{}; in f32 with oneDNN the CPU backend's convolutions and products are oneDNN's own\n",
               counted(omp_get_max_threads(), "thread"));
  }
  ordered_json json = {{"device", name_of(device)},       {"timed", !rehearsal},  {"batch", sizes.batch},
                       {"height", sizes.height},          {"width", sizes.width}, {"samples", sizes.samples},
                       {"threads", omp_get_max_threads()}};
  for (const std::string& precision : o.precisions)
    json["runs"].push_back((rehearsal ? rehearse : measure)(device, precision, o, sizes));
  if (!rehearsal)
    fmt::print(
        "\nus: median of a pass, spread: between its quartiles; roof, copy, {}: their time over ours, 1 is as fast\n",
        cpu ? "oneDNN" : "vendor");
  if (json_file) write_file(*json_file, json.dump(2) + "\n");
}

int bench_kernels(int argc, char** argv) {
  Options o;
  CommandLine app("Times every op's passes at the sizes of MPANet's training step", "bench-kernels");
  app.add_option("--device", o.device, kDeviceHelp)->capture_default_str();
  app.add_list("--precision", o.precisions, "f64, f32, tf32, bf16, f16, or several: f32,bf16",
               {"f64", "f32", "tf32", "bf16", "f16"})
      ->default_str(fmt::format("{}", fmt::join(o.precisions, ",")));
  app.add_option("--filter", o.filter, "only ops whose name or shape holds this");
  add_whole_number(app, "--batch", o.batch, 1, 4096, "pictures (128; 2 on a CPU and under the emulation)")
      ->default_str("");
  add_number(app, "--seconds", o.seconds, 0.001, 60, "time given to each pass");
  app.add_flag("--kernels", o.kernels, "also each kernel's share of a pass, timed with a wait on both sides");
  app.add_flag("--rehearse", o.rehearse,
               "run each pass once at small sizes and time nothing; the emulation always does");
  app.add_option("--json", o.json_path, "write the numbers to this file");
  app.add_option("--launches", o.launches_path,
                 "only write what would be launched at the network's sizes, for scripts/kernel-report, to this file");
  app.add_version([] { return version_text("bench-kernels"); });
  if (const auto code = parse_command_line(app, argc, argv)) return *code;
  set_up_threads(0);
  o.launches_path.empty() ? run(o) : list_launches(o);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return program_main("bench-kernels", argc, argv, bench_kernels); }
