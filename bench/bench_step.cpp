// bench-step: seconds per image of a training step or an embedding of MPANet on random pictures, its GFLOP/s relative
// to those of a large matrix product in the same run, peak resident memory, and the time of each op.
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <tuple>

#include "bench/yardstick.h"
#include "core/base/command_line.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json_fields.h"
#include "core/base/output.h"
#include "core/base/program.h"
#include "core/base/progress.h"
#include "core/base/random.h"
#include "core/base/text.h"
#include "core/base/threads.h"
#include "data/loading/augment.h"
#include "kernels/conv_plan.h"
#include "mpanet/network/engine.h"
#include "mpanet/network/vendors.h"
#include "mpanet/training/provenance.h"

using namespace mpanet;

namespace {

struct Options {
  std::string what = "train", size = "384x128", precision = "f32", json_path, counted_path, conv, gemm;
  Device device;
  int batch = 16, steps = 5, threads = 0, warm_up = -1, plan_batch = 0;
  bool profile = true;
  ModelConfig model;
};

struct Result {
  double seconds = 0, flops = 0, peak_bytes = 0, gpu_bytes = 0;  // per step
  std::vector<double> laps;                                      // seconds of each step
  double host_seconds = 0;                                       // of a step, until all its work was launched
  std::vector<OpTime> profile;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

// Pictures in the engine's form, as training and evaluation send them: floats to a CPU, else bytes.
Batch make_batch(const Options& o, Engine& engine) {
  Batch b;
  b.count = o.batch;
  b.height = o.model.height;
  b.width = o.model.width;
  b.form = engine.form();
  const size_t values = size_t{3} * b.count * b.height * b.width;
  Random random(1, Purpose::Test, 0, 0);
  if (b.form == PictureForm::Floats) {
    b.images.resize(values);
    for (float& v : b.images) v = static_cast<float>(random.uniform(-2, 2));
  } else {
    b.pixels = engine.host_memory(values);
    b.pixel_bytes = values;
    std::generate_n(b.pixels.get(), values, [&] { return static_cast<uint8_t>(random.below(256)); });
    for (int i = 0; i < b.count; i++) b.cuts.emplace_back().picture = i;
  }
  for (int i = 0; i < b.count; i++) {
    b.labels.push_back(i / 4 % o.model.classes);
    b.infrared.push_back(i % 2 == 0);
  }
  return b;
}

// Number of untimed steps, which prepare primitives and memory, and on a GPU the recording.
int warm_up(const Options& o) { return o.warm_up >= 0 ? o.warm_up : o.device.backend == Backend::cuda ? 5 : 1; }

// Runs `count` steps and marks the end of each. As in training, the batch of a step is uploaded during the step before.
void run_steps(Engine& engine, const Options& o, const Batch& batch, std::vector<float>& features, int count) {
  for (int i = 0; i < count; i++) {
    if (o.what == "train") {
      engine.step(3.5e-4, 1);
      engine.upload(batch);
    } else {
      engine.embed(batch, features.data());
    }
    engine.mark();
  }
}

Result measure(const Options& o) {
  const bool train = o.what == "train";
  EngineConfig config;
  config.model = o.model;
  config.device = o.device;
  config.precision = parse_precision(o.precision, "--precision");
  (train ? config.train_batch : config.embed_batch) = o.batch;
  config.vendors = choose_vendors(o.conv, o.gemm, o.device);
  if (o.device.backend != Backend::cpu) {
    config.pictures = PictureForm::Bytes;
    config.picture_values = picture_values(PixelTable(), AugmentConfig().pad_value);
  }
  force_plan({.batch = o.plan_batch});
  const std::unique_ptr<Engine> engine = make_engine(config);
  engine->initialize(1);
  const Batch batch = make_batch(o, *engine);
  std::vector<float> features(static_cast<size_t>(o.batch) * engine->feature_size());
  if (train) engine->upload(batch);
  run_steps(*engine, o, batch, features, warm_up(o));
  engine->take_laps();
  Result result;
  engine->mark();
  result.host_seconds = seconds_of([&] { run_steps(*engine, o, batch, features, o.steps); }) / o.steps;
  result.laps = engine->take_laps();
  result.seconds = median(result.laps);
  result.flops = train ? engine->flops().train : engine->flops().embed;
  if (o.profile) {
    engine->set_profiling(true);
    run_steps(*engine, o, batch, features, 1);
    result.profile = engine->take_profile();
    std::sort(result.profile.begin(), result.profile.end(), [](auto& a, auto& b) { return a.seconds > b.seconds; });
  }
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  result.peak_bytes = static_cast<double>(usage.ru_maxrss) * 1024;
  if (o.device.backend == Backend::cuda) result.gpu_bytes = static_cast<double>(engine->memory_use().peak);
  const MemoryPlan& plan = engine->plan();
  fmt::print("memory plan: parameters {}, optimiser {}, activations {}, together {}\n", format_bytes(plan.parameters),
             format_bytes(plan.optimizer), format_bytes(plan.activations), format_bytes(plan.total()));
  return result;
}

// What scripts/count-step modelled of the same step, for a card.
struct CountedStep {
  std::string card;
  double seconds = 0;
};

// From count-step's file. UserError if that is about another step.
std::optional<CountedStep> read_counted_step(const Options& o) {
  if (o.counted_path.empty()) return std::nullopt;
  const nlohmann::ordered_json json = parse_ordered_json(read_text(o.counted_path), o.counted_path);
  const JsonFields fields(json, o.counted_path);
  const auto same = [&](const std::string& key, const std::string& ours) {
    if (const std::string text = fields.text(key); text != ours)
      fail("{}: expected this run's {}, got {}", fields.where(key), quote(ours), quote(text));
  };
  same("precision", o.precision);
  same("depth", o.model.depth);
  same("size", o.size);
  if (const int batch = fields.whole<int>("batch"); batch != o.batch)
    fail("{}: expected this run's {} pictures, got {}", fields.where("batch"), o.batch, batch);
  return CountedStep{fields.text("card"), fields.number("model_ms", 0) / 1e3};
}

void print_profile(const Result& r) {
  double all = 0;
  for (const OpTime& op : r.profile) all += op.seconds;
  fmt::print("\n{:<32} {:>6} {:>9} {:>7} {:>9}\n", "kind of op (one step)", "calls", "ms", "share", "GFLOP/s");
  for (const OpTime& op : r.profile) {
    const std::string rate = op.flops > 0 ? fmt::format("{:.0f}", op.flops * 1e-9 / op.seconds) : "";
    fmt::print("{:<32} {:>6} {:>9.1f} {:>6.1f}% {:>9}\n", op.op, op.calls, op.seconds * 1e3, 100 * op.seconds / all,
               rate);
  }
}

void run(const Options& o, OutputFile* json_file) {
  const auto counted_step = read_counted_step(o);
  fmt::print(
      "{} of MPANet, ResNet {}, {} pictures of {}, {} on {}, {}; median of {} after {} that {} not "
      "counted\n",
      o.what == "train" ? "training step" : "embedding", o.model.depth, o.batch, o.size, o.precision, name_of(o.device),
      counted(o.threads, "thread"), counted(o.steps, "step"), warm_up(o), warm_up(o) == 1 ? "is" : "are");
  const Result r = measure(o);
  const bool cpu = o.device.backend == Backend::cpu;
  const double gflops = r.flops * 1e-9 / r.seconds, product = cpu ? product_flops() * 1e-9 : 0;
  const double per_image = r.seconds / o.batch, peak_mib = r.peak_bytes * 0x1p-20;
  fmt::print("{:.4f} s an image ({:.2f} images/s), {:.0f} GFLOP/s in convolutions and products\n", per_image,
             1 / per_image, gflops);
  if (cpu)
    fmt::print("a large f32 matrix product reaches {:.0f} GFLOP/s here: {:.0f} % of it\n", product,
               100 * gflops / product);
  if (counted_step)
    fmt::print("the model of {} has {:.2f} ms a step, {:.0f} % of this time\n", counted_step->card,
               counted_step->seconds * 1e3, 100 * counted_step->seconds / r.seconds);
  fmt::print("peak resident memory {:.0f} MiB\n", peak_mib);
  if (r.gpu_bytes > 0) fmt::print("peak memory of {} {:.0f} MiB\n", name_of(o.device), r.gpu_bytes * 0x1p-20);
  if (o.profile) print_profile(r);
  if (!json_file) return;
  nlohmann::ordered_json json = {{"what", o.what},
                                 {"depth", o.model.depth},
                                 {"batch", o.batch},
                                 {"height", o.model.height},
                                 {"width", o.model.width},
                                 {"precision", o.precision},
                                 {"device", name_of(o.device)},
                                 {"threads", o.threads},
                                 {"conv", !o.conv.empty()                    ? o.conv
                                          : o.device.backend == Backend::cpu ? "auto"
                                                                             : "native"},
                                 {"gemm", o.gemm.empty() ? "native" : o.gemm},
                                 {"seconds_per_image", per_image},
                                 {"seconds", r.laps},
                                 {"host_seconds", r.host_seconds},
                                 {"flops", r.flops},
                                 {"gflops", gflops},
                                 {"peak_mib", peak_mib}};
  if (cpu) json["product_gflops"] = product;
  if (counted_step) json["model_seconds"] = counted_step->seconds;
  if (r.gpu_bytes > 0) json["gpu_peak_mib"] = r.gpu_bytes * 0x1p-20;
  for (const OpTime& op : r.profile)
    json["ops"].push_back({{"op", op.op}, {"calls", op.calls}, {"seconds", op.seconds}, {"flops", op.flops}});
  write_file(*json_file, json.dump(2) + "\n");
}

int bench_step(int argc, char** argv) {
  Options o;
  CommandLine app("Times MPANet's training step or embedding on made-up pictures", "bench-step");
  app.add_option("--what", o.what, "train or embed")->one_of({"train", "embed"})->capture_default_str();
  add_whole_number(app, "--batch", o.batch, 2, 4096, "pictures a step");
  app.add_option("--size", o.size, "pictures' HEIGHTxWIDTH")->capture_default_str();
  app.add_option("--depth", o.model.depth, "tiny, 18, 34, 50, 101 or 152")->capture_default_str();
  add_whole_number(app, "--classes", o.model.classes, 1, 100000, "training identities");
  app.add_option("--precision", o.precision, "f32, tf32, bf16, f16 or f64")->capture_default_str();
  std::string device = "auto", why;
  app.add_option("--device", device, kDeviceHelp)->capture_default_str();
  add_whole_number(app, "--steps", o.steps, 1, 1000, "measured steps");
  add_whole_number(app, "--warm-up", o.warm_up, 0, 1000, "steps before those (5 on a GPU, else 1)")->default_str("");
  add_whole_number(app, "--plan-batch", o.plan_batch, 1, 4096,
                   "tiles and splits of our GPU convolutions as for so many pictures, to count a step's work")
      ->default_str("");
  add_whole_number(app, "--threads", o.threads, 1, 1024, kThreadsHelp)->default_str("");
  app.add_option("--conv", o.conv, kConvHelp);
  app.add_option("--gemm", o.gemm, kGemmHelp);
  app.add_flag("--profile,!--no-profile", o.profile, "one more step at the end, op by op (on)");
  app.add_option("--counted", o.counted_path,
                 "scripts/count-step's file about the same step: prints what fraction of the time its model has");
  app.add_option("--json", o.json_path, "write the numbers to this file");
  app.add_version([] { return version_text("bench-step"); });
  if (const auto code = parse_command_line(app, argc, argv)) return *code;
  const auto size = parse_size(o.size);
  if (!size || size->first > 4096 || size->second > 4096)
    fail("--size: expected HEIGHTxWIDTH, each 1..4096, got {}", quote(o.size));
  std::tie(o.model.height, o.model.width) = *size;
  o.device = choose_device(device, &why);
  if (o.plan_batch > 0 && o.device.backend == Backend::cpu)
    fail("--plan-batch: expected our GPU kernels, got device {}", name_of(o.device));
  if (!o.counted_path.empty() && (o.what != "train" || o.device.backend != Backend::cuda))
    fail("--counted: expected a training step on a GPU, got {} on {}", quote(o.what), name_of(o.device));
  const auto json_file = output_for_later(o.json_path);
  keep_stdout_for({o.json_path});
  fmt::print("device: {}\n", why);
  o.threads = set_up_threads(o.threads);
  run(o, json_file.get());
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return program_main("bench-step", argc, argv, bench_step); }
