// bench-kernels: every kernel of kernels.inc at the sizes of MPANet's training step: time, bytes and operations per
// second, the share of what the device could do, and of what its own copy and the vendor's library do in the same run.
#include <omp.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "bench/kernel_bench.h"
#include "bench/kernel_report.h"
#include "bench/launch_list.h"
#include "bench/stopwatch.h"
#include "core/base/command_line.h"
#include "core/base/file.h"
#include "core/base/progress.h"
#include "core/base/threads.h"
#ifdef MPANET_HAS_CUDA
#  include "kernels/cuda/vendor.h"
#endif

using namespace mpanet;

namespace {

struct Options {
  std::string device = "auto", filter, json_path, launches_path;
  std::vector<std::string> precisions = {"f32"};
  int batch = 0;
  double seconds = 0.2;
};

constexpr KernelSizes kRehearsal{.batch = 2, .height = 64, .width = 32, .samples = 8, .narrow = 16};

using Tables = std::map<std::string, std::vector<KernelBench> (*)(const KernelSizes&)>;
#define TABLE(precision) {#precision, precision::kernel_benches},
const Tables kTables = {MPANET_EACH_PRECISION(TABLE)};
#undef TABLE

std::vector<KernelBench> chosen(const Options& o, const std::string& precision, const KernelSizes& sizes) {
  std::vector<KernelBench> list = kTables.at(precision)(sizes);
  std::erase_if(list,
                [&](const KernelBench& b) { return (b.kernel + " " + b.shape).find(o.filter) == std::string::npos; });
  if (list.empty()) fail("--filter: expected a part of a kernel's name or shape, got \"{}\"", o.filter);
  return list;
}

// Instances enough that together they are several times the last cache; each has its own memory.
class Instances {
 public:
  Instances(Context& context, const std::function<Call(Memory&)>& make, size_t cache) {
    constexpr size_t kMost = 48, kReach = 4;
    do {
      memories_.push_back(std::make_unique<Memory>(context, false));
      calls_.push_back(make(*memories_.back()));
      if (!calls_.back()) break;
    } while (calls_.size() < kMost && calls_.size() * memories_[0]->bytes() < kReach * cache);
  }
  const std::vector<Call>& calls() const { return calls_; }
  bool used() const { return calls_.back() != nullptr; }

 private:
  std::vector<std::unique_ptr<Memory>> memories_;
  std::vector<Call> calls_;
};

// The device's copy of the same bytes in all: half of them read, half written. Equal sizes are timed once.
class CopyTimes {
 public:
  CopyTimes(Context& context, size_t cache, double seconds) : context_(context), cache_(cache), seconds_(seconds) {}
  double of(double bytes) {
    const auto half = static_cast<size_t>(bytes / 2);
    const auto known = known_.find(half);
    if (known != known_.end()) return known->second;
    const Instances copies(
        context_,
        [half](Memory& memory) -> Call {
          void *to = memory.allocate(half), *from = memory.allocate(half);
          return [=, &context = memory.context()] { copy_memory(context, to, from, half); };
        },
        cache_);
    return known_[half] = time_calls(context_, copies.calls(), seconds_).median;
  }

 private:
  Context& context_;
  size_t cache_;
  double seconds_;
  std::map<size_t, double> known_;
};

class Runner {
 public:
  Runner(Context& context, const std::string& precision, const Options& o)
      : context_(context),
        precision_(precision),
        options_(o),
        rates_(device_rates(context, precision)),
        copies_(context, rates_.cache, o.seconds / 4) {}
  const DeviceRates& rates() const { return rates_; }

  KernelResult run(const KernelBench& bench) {
    KernelResult result{bench.kernel, bench.shape, "", bench.bytes, bench.flops, bench.storage, {}, {}, {}, ""};
    try {
      const Instances instances(context_, bench.make, rates_.cache);
      if (instances.used()) result.time = time_calls(context_, instances.calls(), options_.seconds);
    } catch (const UserError& error) {  // the card's memory is too small for this one
      result.note = error.what();
      return result;
    }
    if (!result.time) {
      result.note = "not used by this backend";
      return result;
    }
    result.copy_seconds = copies_.of(bench.bytes);
    time_vendor(bench, result);
    return result;
  }

 private:
  void time_vendor(const KernelBench& bench, KernelResult& result) {
    if (context_.backend() == Backend::cpu && bench.vendor) time_vendor(bench.vendor, "oneDNN", result);
#ifdef MPANET_HAS_CUDA
    if (context_.backend() != Backend::cuda || bench.flops == 0) return;
    if (bench.storage ? !cuda::has_cudnn() || precision_ == "f64" : !cuda::has_cublas()) return;
    // The same call of ours, passed on to the library.
    (bench.storage ? vendors_.convolution : vendors_.product) = cuda::Provider::Vendor;
    cuda::set_vendors(context_.stream(), vendors_);
    time_vendor(bench.make, bench.storage ? "cuDNN" : "cuBLAS", result);
    vendors_ = {};
    cuda::set_vendors(context_.stream(), vendors_);
#endif
  }

  void time_vendor(const std::function<Call(Memory&)>& make, const char* name, KernelResult& result) {
    try {
      const Instances instances(context_, make, rates_.cache);
      result.vendor_seconds = time_calls(context_, instances.calls(), options_.seconds).median;
      result.vendor = name;
    } catch (const UserError& error) {  // the library cannot do it, or memory is too small
      result.note = fmt::format("{}: {}", name, error.what());
    }
  }

  Context& context_;
  std::string precision_;
  const Options& options_;
  DeviceRates rates_;
  CopyTimes copies_;
#ifdef MPANET_HAS_CUDA
  cuda::Vendors vendors_;
#endif
};

nlohmann::ordered_json measure(Context& context, const std::string& precision, const Options& o,
                               const KernelSizes& sizes) {
  Runner runner(context, precision, o);
  const bool cpu = context.backend() == Backend::cpu;
  print_heading(precision, runner.rates(), cpu ? "oneDNN" : "vendor");
  nlohmann::ordered_json json = {{"precision", precision}, {"rates", to_json(runner.rates())}};
  for (const KernelBench& bench : chosen(o, precision, sizes)) {
    const KernelResult result = runner.run(bench);
    print_result(result, runner.rates());
    json["kernels"].push_back(to_json(result, runner.rates()));
  }
  return json;
}

// Each kernel once on sizes that the emulation can afford: that it runs, no more.
nlohmann::ordered_json rehearse(Context& context, const std::string& precision, const Options& o,
                                const KernelSizes& sizes) {
  nlohmann::ordered_json json = {{"precision", precision}};
  const std::vector<KernelBench> list = chosen(o, precision, sizes);
  for (const KernelBench& bench : list) {
    Memory memory(context, false);
    if (const Call call = bench.make(memory)) call();
    context.synchronize();
    json["kernels"].push_back({{"kernel", bench.kernel}, {"shape", bench.shape}});
  }
  fmt::print("{}: {} calls ran, none was timed\n", precision, list.size());
  return json;
}

// Small and odd sizes too: kernels have variants for them.
void list_launches(const Options& o) {
  KernelSizes network, odd = kRehearsal;
  if (o.batch > 0) network.batch = o.batch;
  odd.odd = true;
  std::vector<std::vector<KernelBench>> lists;
  for (const std::string& precision : o.precisions)
    for (const KernelSizes& sizes : {network, kRehearsal, odd}) lists.push_back(chosen(o, precision, sizes));
  write_launches(o.launches_path, lists);
}

void run(const Options& o) {
  std::string why;
  const Device device = choose_device(o.device, &why);
  Context context(device);
  const bool emu = device.backend == Backend::emu, cpu = device.backend == Backend::cpu;
  KernelSizes sizes;
  if (emu) sizes = kRehearsal;
  if (cpu) sizes.batch = 2;
  if (o.batch > 0) sizes.batch = o.batch;
  fmt::print("{}\nkernels of MPANet at batch {} of {}x{}, losses of {} rows\n", why, sizes.batch, sizes.height,
             sizes.width, sizes.samples);
  if (emu) fmt::print("emulated: a rehearsal at small sizes, nothing is timed\n");
  if (cpu) {
    fmt::print("no GPU is timed here: these are the CPU backend's kernels, held against oneDNN and memcpy\n");
    fmt::print("{} threads; in f32 with oneDNN the CPU backend's convolutions and products are oneDNN's own\n",
               omp_get_max_threads());
  }
  nlohmann::ordered_json json = {{"device", name_of(device)},       {"timed", !emu},        {"batch", sizes.batch},
                                 {"height", sizes.height},          {"width", sizes.width}, {"samples", sizes.samples},
                                 {"threads", omp_get_max_threads()}};
  for (const std::string& precision : o.precisions)
    json["runs"].push_back((emu ? rehearse : measure)(context, precision, o, sizes));
  if (!emu)
    fmt::print(
        "\nus: median of a call, spread: between its quartiles; roof, copy, {}: their time over ours, 1 is as fast\n",
        cpu ? "oneDNN" : "vendor");
  if (!o.json_path.empty()) write_file(o.json_path, json.dump(2) + "\n");
}

}  // namespace

int main(int argc, char** argv) try {
  sleep_when_idle(argv);
  Options o;
  CLI::App app("Times every kernel at the sizes of MPANet's training step", "bench-kernels");
  app.add_option("--device", o.device, kDeviceHelp)->capture_default_str();
  app.add_option("--precision", o.precisions, "f64, f32, bf16, f16, or several: f32,bf16")
      ->delimiter(',')
      ->check(CLI::IsMember({"f64", "f32", "bf16", "f16"}))
      ->capture_default_str();
  app.add_option("--filter", o.filter, "only kernels whose name or shape holds this");
  app.add_option("--batch", o.batch, "pictures (128; 2 on a CPU and under the emulation)")->check(CLI::Range(1, 4096));
  app.add_option("--seconds", o.seconds, "time given to each kernel")
      ->check(CLI::Range(0.001, 60.0))
      ->capture_default_str();
  app.add_option("--json", o.json_path, "write the numbers to this file");
  app.add_option("--launches", o.launches_path,
                 "only write what would be launched at the network's sizes, for scripts/kernel-report, to this file");
  if (const auto code = parse_command_line(app, argc, argv)) return *code;
  o.launches_path.empty() ? run(o) : list_launches(o);
} catch (...) {
  return report_exception("bench-kernels");
}
