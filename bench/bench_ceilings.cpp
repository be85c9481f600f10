// bench-ceilings: measured upper bounds of this device's rates: copies of its memory, copies from the host, and large
// matrix products of random values by the vendor's library. They are the reference for times of kernels and steps.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "bench/stopwatch.h"
#include "bench/yardstick.h"
#include "core/base/command_line.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/output.h"
#include "core/base/program.h"
#include "core/base/random.h"
#include "core/base/threads.h"
#include "core/upload.h"
#include "mpanet/training/provenance.h"
#ifdef MPANET_HAS_CUBLAS
#  include "bench/cublas_products.h"
#endif

using namespace mpanet;

namespace {

struct Options {
  std::string json_path;
  int mebibytes = 1024, size = 0;
  double seconds = 0.5;
};

double seconds_of_call(Context& context, const std::function<void()>& call, const Options& o) {
  return time_rounds(context, {{}, call, 1}, o.seconds).median;
}

// Bytes per second, where each byte counts twice: it is read and written.
double copy_rate(Context& context, const Options& o) {
  const size_t bytes = static_cast<size_t>(o.mebibytes) << 20;
  const Buffer from(context, bytes), to(context, bytes);
  const auto copy = [&] { copy_memory(context, to.as<void>(), from.as<void>(), bytes); };
  return 2 * static_cast<double>(bytes) / seconds_of_call(context, copy, o);
}

// Bytes per second from pinned host memory, as for batches.
double upload_rate(Context& context, const Options& o) {
  const size_t bytes = static_cast<size_t>(std::min(o.mebibytes, 256)) << 20;
  const HostBuffer from(context, bytes);
  const Buffer to(context, bytes);
  const auto send = [&] { from.send(context, to.as<void>(), bytes); };
  return static_cast<double>(bytes) / seconds_of_call(context, send, o);
}

struct Product {
  std::string type, by;
  double flops = 0;  // per second
};

std::vector<Product> cpu_products(const Options& o) {
  const int n = o.size > 0 ? o.size : 3072;
  std::vector<float> values(static_cast<size_t>(n) * n);
  Random random(1, Purpose::Test, 0, 0);
  for (float& v : values) v = static_cast<float>(random.uniform(-1, 1));
  double best = INFINITY;
  for (int i = 0; i < 5; i++) best = std::min(best, seconds_of_product(n, n, n, values.data(), values.data()));
  return {{"f32", product_yardstick(), 2.0 * n * n * n / best}};
}

std::vector<Product> products(Context& context, const Options& o) {
  if (context.backend() == Backend::cpu) return cpu_products(o);
  std::vector<Product> list;
#ifdef MPANET_HAS_CUBLAS
  const int n = o.size > 0 ? o.size : 8192;
  for (const auto& [type, call] : cublas_products(context, n))
    list.push_back({type, "cuBLAS", 2.0 * n * n * n / seconds_of_call(context, call, o)});
#endif
  return list;
}

void run(Device device, const Options& o, OutputFile* json_file) {
  Context context(device);
  const double copy = copy_rate(context, o), upload = upload_rate(context, o);
  fmt::print("copies of {} MiB within the device, read and written: {:.1f} GB/s\n", o.mebibytes, copy * 1e-9);
  fmt::print("copies from the host: {:.1f} GB/s\n", upload * 1e-9);
  nlohmann::ordered_json json = {{"device", name_of(device)},
                                 {"copy_bytes_per_second", copy},
                                 {"upload_bytes_per_second", upload},
                                 {"products", nlohmann::ordered_json::array()}};
  const std::vector<Product> list = products(context, o);
  if (list.empty()) fmt::print("no matrix product: this build has no cuBLAS (MPANET_CUBLAS)\n");
  for (const Product& p : list) {
    fmt::print("large product in {} by {}: {:.1f} TFLOP/s\n", p.type, p.by, p.flops * 1e-12);
    json["products"].push_back({{"type", p.type}, {"by", p.by}, {"flops_per_second", p.flops}});
  }
  if (json_file) write_file(*json_file, json.dump(2) + "\n");
}

int bench_ceilings(int argc, char** argv) {
  Options o;
  std::string device_name = "auto", why;
  CommandLine app("Measures what a device can do at best: copies and large matrix products", "bench-ceilings");
  app.add_option("--device", device_name, kDeviceHelp)->capture_default_str();
  add_whole_number(app, "--mebibytes", o.mebibytes, 1, 65536, "a copy's");
  add_whole_number(app, "--size", o.size, 16, 32768, "of the square matrices (8192; 3072 on a CPU)")->default_str("");
  add_number(app, "--seconds", o.seconds, 0.001, 60, "given to each number");
  app.add_option("--json", o.json_path, "write the numbers to this file");
  app.add_version([] { return version_text("bench-ceilings"); });
  if (const auto code = parse_command_line(app, argc, argv)) return *code;
  const Device device = choose_device(device_name, &why);
  if (device.backend == Backend::emu) fail("--device emu: the emulation's times say nothing");
  const auto json_file = output_for_later(o.json_path);
  keep_stdout_for({o.json_path});
  fmt::print("device: {}\n", why);
  set_up_threads(0);
  run(device, o, json_file.get());
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return program_main("bench-ceilings", argc, argv, bench_ceilings); }
