// bench-train: pictures a second of a training with all that surrounds its steps (loader, checkpoints, evaluations),
// beside those of the step alone in the same run. The training is shortened; its pictures are drawn.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>

#include "bench/yardstick.h"
#include "core/base/command_line.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/folder.h"
#include "core/base/inputs.h"
#include "core/base/interrupt.h"
#include "core/base/output.h"
#include "core/base/processor_time.h"
#include "core/base/program.h"
#include "core/base/progress.h"
#include "core/base/temporary.h"
#include "core/base/text.h"
#include "core/base/threads.h"
#include "data/loading/sampler.h"
#include "data/sets/dataset_inputs.h"
#include "data/synth/synth.h"
#include "mpanet/config/shipped_configs.h"
#include "mpanet/evaluation/evaluate.h"
#include "mpanet/network/vendors.h"
#include "mpanet/training/provenance.h"
#include "mpanet/training/train_plan.h"
#include "mpanet/training/trainer.h"

using namespace mpanet;
namespace fs = std::filesystem;

namespace {

struct Options {
  std::string config = "sysu", data, json_path, conv, gemm, device_line;
  std::vector<std::string> settings;
  Device device;
  int steps = 0, threads = 0, ids = 300, repeat = 1;
};

// A folder for temporary files with all that this program puts there. The destructor removes the files that files()
// found, and folders that are empty then.
class Scratch {
 public:
  Scratch() : path_((fs::temp_directory_path() / temporary_name("bench-train")).string()) { made_.make_folder(path_); }
  ~Scratch() {
    std::error_code ignored;
    for (auto path = found_.rbegin(); path != found_.rend(); ++path) fs::remove(*path, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  // What lies in the folder now is this program's.
  void find() {
    found_.clear();
    for (const auto& entry : fs::recursive_directory_iterator(path_)) found_.push_back(entry.path());
    std::sort(found_.begin(), found_.end());  // a folder comes before its content
  }

 private:
  MadeFiles made_;  // the folder itself
  std::string path_;
  std::vector<fs::path> found_;
};

// As the demo's: two people are tested for fifteen that are trained on.
void draw(const TrainConfig& config, const Options& o, const std::string& path) {
  SynthConfig synth;
  synth.layout = config.dataset;
  synth.ids = o.ids;
  if (config.dataset == DatasetKind::RegDb) synth.images = 10;  // as the real one has of each identity
  synth.test_ids = std::max(2, o.ids * 2 / 15);
  note(fmt::format("drawing {} people", synth.ids + synth.test_ids));
  if (!write_synth(synth, path, interrupted)) throw Interrupted{};
}

// Seconds of each of `count` steps on the batch, by the device's clock. As in training, the batch of a step is uploaded
// during the step before. The learning rate is 0: the steps change no weight.
std::vector<double> time_steps(Engine& engine, const Batch& batch, int count) {
  engine.upload(batch);
  engine.mark();
  for (int i = 0; i < count; i++) {
    throw_if_interrupted();
    engine.step(0, 1);
    if (i + 1 < count) engine.upload(batch);
    engine.mark();
  }
  return engine.take_laps();
}

// The configuration's cache with the training's pictures, as the first epoch leaves it; null if it has none.
std::shared_ptr<ImageCache> filled_cache(const TrainConfig& config, const Dataset& data) {
  auto cache = make_cache(config);
  if (!cache) return cache;
  LoaderConfig loader_config = train_loader_config(config, PictureForm::Floats);
  loader_config.train = false;
  loader_config.cache = cache;
  std::vector<std::vector<Sample>> batches;
  for (const ImageRecord& image : data.train) batches.push_back({{data.root + "/" + image.path, 0, false, 0}});
  Loader loader(loader_config, std::move(batches));
  for (Batch batch; loader.next(batch);) throw_if_interrupted();
  return cache;
}

struct Evaluating {
  int times = 0;                // in the whole configured training
  double first = 0, later = 0;  // seconds of two evaluations: the second finds pictures in the cache
  size_t images = 0;            // that one embeds
  double seconds() const { return times == 0 ? 0 : first + (times - 1) * later; }
};

Evaluating time_evaluation(const TrainConfig& config, const Dataset& data, Engine& engine,
                           const std::vector<EvaluationPlan>& plans, const std::shared_ptr<const Pack>& pack,
                           const std::shared_ptr<ImageCache>& cache) {
  Evaluating evaluating;
  if (plans.empty()) return evaluating;
  for (int epoch = 1; epoch <= config.num_epoch; epoch++) evaluating.times += config.evaluates_after(epoch);
  const std::vector<ImageRecord> images = images_of(plans);
  evaluating.images = images.size();
  EmbedOptions options;
  options.height = config.model.height, options.width = config.model.width;
  options.batch = config.embed_batch;
  options.threads = config.loader_threads;
  options.cache = cache;
  options.pack = pack;
  options.on_host = false;
  options.after_batch = throw_if_interrupted;
  send_pictures_to(engine, options);
  const auto evaluate = [&] { rank_plans(plans, images, embed_images(engine, images, data.root, options)); };
  evaluating.first = seconds_of(evaluate);
  evaluating.later = cache ? seconds_of(evaluate) : evaluating.first;
  return evaluating;
}

struct Result {
  int batch = 0;                              // pictures a step
  double alone_processor = 0, processor = 0;  // processor seconds of all steps alone, and of the training
  std::vector<double> before, after;          // seconds of the steps alone
  int64_t steps = 0, checkpoints = 0;         // of the training; checkpoints that began before its last step's end
  double seconds = 0;                         // from the training's start to the end of its last step
  size_t batches = 0;                         // of an epoch
  Evaluating evaluating;
};

double sum(const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

Result measure(const TrainConfig& config, const Options& o, Dataset& data, Engine& engine,
               const IdentitySampler& sampler, const std::vector<EvaluationPlan>& plans,
               const std::shared_ptr<const Pack>& pack, const std::string& out) {
  Result result;
  const auto batches = sampler.epoch(1);
  result.batch = config.p_size * config.k_size;
  result.batches = batches.size();
  Batch batch;
  {
    LoaderConfig loader = train_loader_config(config, engine.form());
    loader.allocate = [&](size_t bytes) { return engine.host_memory(bytes); };
    loader.pack = pack;
    Loader(loader, loader_batches(data, {batches.front()})).next(batch);
  }
  const bool gpu = o.device.backend == Backend::cuda;
  const int half = std::max(1, o.steps / 2), warm_up = gpu ? 5 : 1;
  time_steps(engine, batch, warm_up);
  double processor = process_seconds();
  result.before = time_steps(engine, batch, half);
  result.alone_processor = process_seconds() - processor;

  RunFolder folder = RunFolder::create(out);  // removed with its files at the end
  const std::vector<EvaluationPlan> none;
  Progression progression;
  progression.data = data_fingerprint(data.train);
  const auto cache = filled_cache(config, data);
  Trainer trainer(config, data, sampler, none, engine, folder, progression, false, o.steps,
                  o.device.backend != Backend::cpu, pack, cache);
  trainer.save();
  processor = process_seconds();
  const auto start = std::chrono::steady_clock::now();
  trainer.run();
  result.processor = process_seconds() - processor;
  result.seconds = std::chrono::duration<double>(trainer.last_step_end() - start).count();
  result.steps = trainer.progression().step;
  result.checkpoints = trainer.checkpoints() - 2;  // the one before the first step, the one after the last

  processor = process_seconds();
  result.after = time_steps(engine, batch, half);
  result.alone_processor += process_seconds() - processor;
  result.evaluating = time_evaluation(config, data, engine, plans, pack, cache);
  return result;
}

void report(const TrainConfig& config, const Options& o, const Result& r, OutputFile* json_file) {
  const double pictures = r.batch;
  const size_t alone_steps = r.before.size() + r.after.size();
  const double alone = pictures * static_cast<double>(alone_steps) / (sum(r.before) + sum(r.after));
  const double step = r.seconds / static_cast<double>(r.steps);
  const double all_steps = static_cast<double>(r.batches) * config.num_epoch;
  const double evaluating = r.evaluating.seconds() / all_steps;  // seconds a step
  const double training = pictures / step, whole = pictures / (step + evaluating);
  fmt::print("training of MPANet, ResNet {}, {} pictures of {}x{}, {} on {}, {}\n", config.model.depth, r.batch,
             config.model.height, config.model.width, name_of(*config.precision), name_of(o.device),
             counted(o.threads, "thread"));
  fmt::print("the step alone         {:9.2f} images/s: {} before the training, {} after it\n", alone,
             counted(r.before.size(), "step"), r.after.size());
  fmt::print("the training           {:9.2f} images/s: {} with loader, log and {}{}\n", training,
             counted(r.steps, "step"), counted(r.checkpoints, "checkpoint"),
             config.cache_mib > 0 ? "; the cache holds the pictures, as after the first epoch" : "");
  if (r.evaluating.times > 0)
    fmt::print(
        "and with evaluations   {:9.2f} images/s: {} of {} in {} of {}; the first took {:.2f} s, a later one {:.2f} "
        "s\n",
        whole, counted(r.evaluating.times, "evaluation"), counted(r.evaluating.images, "image"),
        counted(config.num_epoch, "epoch"), counted(r.batches, "batch", "batches"), r.evaluating.first,
        r.evaluating.later);
  const double alone_processor = 1e3 * r.alone_processor / (pictures * static_cast<double>(alone_steps));
  const double processor = 1e3 * r.processor / (pictures * static_cast<double>(r.steps));
  fmt::print("processor milliseconds an image: {:.2f} of the step alone, {:.2f} of the training\n", alone_processor,
             processor);
  fmt::print("{:.3f} of the step alone\n", whole / alone);
  if (!json_file) return;
  const nlohmann::ordered_json json = {{"config", o.config},
                                       {"depth", config.model.depth},
                                       {"batch", r.batch},
                                       {"height", config.model.height},
                                       {"width", config.model.width},
                                       {"precision", name_of(*config.precision)},
                                       {"device", name_of(o.device)},
                                       {"threads", o.threads},
                                       {"conv", !o.conv.empty()                    ? o.conv
                                                : o.device.backend == Backend::cpu ? "auto"
                                                                                   : "native"},
                                       {"gemm", o.gemm.empty() ? "native" : o.gemm},
                                       {"step_seconds_before", r.before},
                                       {"step_seconds_after", r.after},
                                       {"step_images_per_second", alone},
                                       {"steps", r.steps},
                                       {"checkpoints", r.checkpoints},
                                       {"checkpoint_seconds", config.checkpoint_seconds},
                                       {"checkpoint_every", config.checkpoint_every},
                                       {"training_seconds", r.seconds},
                                       {"training_images_per_second", training},
                                       {"epochs", config.num_epoch},
                                       {"batches_per_epoch", r.batches},
                                       {"step_processor_ms_per_image", alone_processor},
                                       {"training_processor_ms_per_image", processor},
                                       {"evaluations", r.evaluating.times},
                                       {"first_evaluation_seconds", r.evaluating.first},
                                       {"later_evaluation_seconds", r.evaluating.later},
                                       {"evaluated_images", r.evaluating.images},
                                       {"images_per_second", whole},
                                       {"ratio", whole / alone}};
  write_file(*json_file, json.dump(2) + "\n");
}

// What the run reads must not be replaced by its numbers.
void register_inputs(const TrainConfig& config, const Options& o, const std::string& config_file) {
  register_input(config_file, "--config");
  register_input(config.pack, "data.pack");
  if (o.data.empty()) return;
  register_dataset(config.dataset, o.data);
}

void run(Options& o) {
  const std::string config_file = find_config(o.config);
  TrainConfig config = read_config(config_file);
  for (const std::string& setting : o.settings) set_config(config, setting);
  check_config(config, o.config);
  register_inputs(config, o, config_file);
  const auto json_file = output_for_later(o.json_path);
  keep_stdout_for({o.json_path});
  fmt::print("{}\n", o.device_line);
  o.threads = set_up_threads(o.threads);
  config.precision = choose_precision(config.precision, o.device, nullptr);
  if (o.steps == 0) o.steps = o.device.backend == Backend::cpu && config.model.depth != "tiny" ? 20 : 200;
  Scratch scratch;
  const bool drawn = o.data.empty();
  if (drawn) draw(config, o, o.data = scratch / "data"), scratch.find();
  const bool evaluates = config.eval_interval > 0;
  Dataset data = read_dataset(config.dataset, o.data, evaluates ? Split::Both : Split::Train, config.split);
  config.model.classes = data.classes;
  const std::vector<ImageRecord> once = data.train;
  for (int i = 1; i < o.repeat; i++) data.train.insert(data.train.end(), once.begin(), once.end());
  const IdentitySampler sampler(data.train, config.p_size, config.k_size, config.seed);
  const auto plans = evaluates ? plan_between_epochs(config, data, o.data, "", "") : std::vector<EvaluationPlan>();
  const auto pack = open_pack(config, data, plans);
  const FreeMemory free = find_free_memory(o.device);
  Workload workload = workload_of(o.device, data, plans);
  workload.pictures = choose_pictures(config, workload, pack != nullptr, free).form;
  workload.evaluates_there = choose_evaluation(config, workload, free).there;
  check_memory(config, workload, free);
  EngineConfig made = engine_config(config, workload);
  made.vendors = choose_vendors(o.conv, o.gemm, o.device);
  const auto engine = make_engine(made);
  engine->initialize(config.seed);
  if (engine->form() == PictureForm::Held) hold_training_set(data, *pack, *engine);
  report(config, o, measure(config, o, data, *engine, sampler, plans, pack, scratch / "run"), json_file.get());
}

int bench_train(int argc, char** argv) {
  Options o;
  CommandLine app(
      "Measures a shortened training, with loader, checkpoints and evaluations, beside its step alone. Checkpoints "
      "come "
      "as the configuration says; the time of an evaluation counts as often as the whole configured training has one.",
      "bench-train");
  app.add_option("--config", o.config, "as mpanet-train's")->capture_default_str();
  app.add_option("--set", o.settings, "changes the configuration; takes several, and may be given again")
      ->type_name("KEY=VALUE")
      ->take_all();
  app.add_option("--data", o.data, "a data set of the configuration's layout (default: draws one)");
  add_whole_number(app, "--ids", o.ids, 2, 4000, "drawn people that are trained on");
  add_whole_number(app, "--repeat", o.repeat, 1, 1000, "how often an epoch has each picture, to make it longer");
  std::string device = "auto", why;
  app.add_option("--device", device, kDeviceHelp)->capture_default_str();
  add_whole_number(app, "--steps", o.steps, 1, 1000000, "steps of the training (200; of a ResNet on a CPU 20)")
      ->default_str("");
  add_whole_number(app, "--threads", o.threads, 1, 1024, kThreadsHelp)->default_str("");
  app.add_option("--conv", o.conv, kConvHelp);
  app.add_option("--gemm", o.gemm, kGemmHelp);
  app.add_option("--json", o.json_path, "write the numbers to this file");
  app.add_version([] { return version_text("bench-train"); });
  if (const auto code = parse_command_line(app, argc, argv)) return *code;
  o.device = choose_device(device, &why);
  o.device_line = "device: " + why;
  const InterruptGuard guard;  // a signal ends the program as an error does, so that its temporary folder goes
  try {
    run(o);
  } catch (const Interrupted&) {
    note("bench-train: stopped");
    return interrupt_exit_code();
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return program_main("bench-train", argc, argv, bench_train); }
