#include "mpanet/training/train.h"

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/inputs.h"
#include "core/base/interrupt.h"
#include "core/base/output.h"
#include "core/base/progress.h"
#include "core/base/text.h"
#include "core/base/threads.h"
#include "data/loading/sampler.h"
#include "data/sets/dataset_inputs.h"
#include "mpanet/network/vendors.h"
#include "mpanet/training/provenance.h"
#include "mpanet/training/resume.h"
#include "mpanet/training/run_folder.h"
#include "mpanet/training/run_start.h"
#include "mpanet/training/train_plan.h"
#include "mpanet/training/trainer.h"

namespace mpanet {
namespace {

void say_complete(const std::string& run, const TrainConfig& config, int64_t step) {
  say(stdout, fmt::format("{} is complete: {}, step {}; a higher num_epoch goes on\n", printable(run),
                          counted(config.num_epoch, "epoch"), step));
}

// Whether the run has all steps up to --max-steps, and no evaluation is due.
bool has_steps(const Progression& progression, const Sampler& sampler, std::optional<int64_t> max_steps) {
  if (!max_steps || progression.step < *max_steps) return false;
  return static_cast<size_t>(progression.batch) < sampler.epoch(static_cast<uint32_t>(progression.epoch)).size();
}

void say_has_steps(const std::string& last, int64_t step, int64_t max_steps) {
  say(stdout, fmt::format("{} holds step {}: nothing to do up to --max-steps {}\n", printable(last), step, max_steps));
}

void print_data(const Dataset& data, const IdentitySampler& sampler, const TrainConfig& config) {
  size_t infrared = 0;
  for (const ImageRecord& image : data.train) infrared += image.infrared;
  say(stdout, fmt::format("data: {}, {} visible and {}; {} of {} x {} in epoch 1\n",
                          counted(data.classes, "identity", "identities"), data.train.size() - infrared,
                          counted(infrared, "infrared image"), counted(sampler.epoch(1).size(), "batch", "batches"),
                          config.p_size, config.k_size));
  for (const std::string& line : data.notes) say(stdout, "data: " + printable(line) + "\n");
  if (!sampler.skipped().empty())
    say(stdout, fmt::format("data: skipped {} without {} images of both modalities in any batch\n",
                            counted(sampler.skipped().size(), "identity", "identities"), config.k_size));
}

// Replaces auto by a precision, and prints a line that says which one and why. A run that goes on keeps its own.
void settle_precision(TrainConfig& config, Device device, bool resumed) {
  std::string why;
  config.precision = choose_precision(config.precision, device, &why);
  say(stdout, fmt::format("precision: {}{}\n", why, resumed ? ", as the run began" : ""));
}

// Chooses how pictures come to the device and where evaluations take memory, and prints this and the memory plan.
// UserError if memory is too small.
void plan_memory_of(const TrainConfig& config, Workload& workload, bool packed) {
  const FreeMemory free = find_free_memory(workload.device);
  const PictureChoice choice = choose_pictures(config, workload, packed, free);
  workload.pictures = choice.form;
  const EvaluationChoice evaluation = choose_evaluation(config, workload, free);
  workload.evaluates_there = evaluation.there;
  for (const std::string& why : {choice.why, evaluation.why})
    if (!why.empty()) say(stdout, why + "\n");
  say(stdout, memory_text(plan_train_memory(config, workload), workload.device, free));
  check_memory(config, workload, free);
}

// inputs.json of the run from now on. `before`: what it held.
RunInputs inputs_of(const TrainOptions& options, const RunInputs& before, bool resumed,
                    const std::vector<EvaluationPlan>& evaluated) {
  return {.data = options.data,
          .trials = options.trials,
          .protocol = evaluated.empty() ? before.protocol : evaluated.front().protocol,
          .initial = resumed ? before.initial : initial_weights(options.init)};
}

void write_run_files(const TrainOptions& options, const RunFolder& folder, const TrainConfig& config,
                     const RunInputs& inputs, const Vendors& vendors, const std::optional<WeightsReport>& initial) {
  write_file(folder.config(), config_file_text(config));
  write_inputs(inputs, folder.inputs());
  write_vendors(folder.vendors(), vendors);
  if (!initial) return;
  write_file(folder.initial(), report_text(*initial));
  say(stdout, fmt::format("{}: {}; their names are in {}\n", printable(options.init), report_line(*initial),
                          printable(folder.initial())));
}

void say_memory(Trainer& trainer, const Engine& engine, Device device) {
  trainer.say(fmt::format("{}: {} of memory at most, {} planned", name_of(device),
                          format_bytes(static_cast<double>(engine.memory_use().peak)),
                          format_bytes(static_cast<double>(engine.plan().total()))));
}

int run_trainer(Trainer& trainer, const TrainOptions& options, const RunFolder& folder) {
  try {
    trainer.run();
  } catch (const Interrupted&) {
    trainer.say(fmt::format("interrupted after step {}, saved; go on with: {}", trainer.progression().step,
                            resume_command(options)));
    return interrupt_exit_code();
  }
  const Progression& p = trainer.progression();
  const bool done = p.batch == 0 && p.best_epoch > 0;
  trainer.say(fmt::format("{} holds step {}", folder.last(), p.step));
  if (done)
    trainer.say(fmt::format("{} is the model after epoch {}: {} {:.2f} %, chosen on the test set", folder.best(),
                            p.best_epoch, selection_name(trainer.config().dataset), p.best_rank1));
  return 0;
}

// The files that the run reads and must not write. On --resume the run's own config.json and checkpoint may be given as
// --config and --init.
void register_inputs(const TrainOptions& options, const TrainConfig& config, bool has_checkpoint) {
  if (!options.resume) register_input(options.config, "--config");
  if (!has_checkpoint) register_input(options.init, "--init");
  register_input(options.trials, "--trials");
  register_input(config.pack, "data.pack");
  register_dataset(config.dataset, options.data);
}

}  // namespace

int train(const TrainOptions& given) {
  TrainOptions options = given;
  OpenedRun run = open_run(options);
  const bool resumed = run.checkpoint.has_value();
  std::vector<std::string> remarks;
  TrainConfig config = effective_config(options, run.checkpoint, &remarks);
  for (const std::string& remark : remarks) note("mpanet-train: " + remark);
  if (resumed && is_finished(*run.checkpoint->progression(), config))
    return say_complete(options.out, config, run.checkpoint->progression()->step), 0;
  check_inputs(options);
  if (options.protocol.empty()) options.protocol = protocol_so_far(run.inputs, run.checkpoint);
  say(stdout, options.device_line);
  settle_precision(config, options.device, resumed);
  const ThreadChoice threads = choose_threads(options.threads);
  if (!threads.warning.empty()) note("mpanet-train: warning: " + threads.warning);
  register_inputs(options, config, resumed);
  if (run.folder) run.folder->check_no_inputs();
  const Vendors vendors = choose_vendors(options.conv, options.gemm, options.device,
                                         run.folder ? run.folder->vendors() : "", config.precision);
  const auto provenance_before = resumed ? read_provenance(run.folder->provenance()) : std::nullopt;

  const bool evaluates = config.eval_interval > 0;
  Dataset data = read_dataset(config.dataset, options.data, evaluates ? Split::Both : Split::Train, config.split);
  check_pictures(data, data.train);
  config.model.classes = data.classes;
  const IdentitySampler sampler(data.train, config.p_size, config.k_size, config.seed);
  if (resumed && has_steps(*run.checkpoint->progression(), sampler, options.max_steps))
    return say_has_steps(run.folder->last(), run.checkpoint->progression()->step, *options.max_steps), 0;
  const auto evaluated = evaluates ? plan_between_epochs(config, data, options.data, options.trials, options.protocol)
                                   : std::vector<EvaluationPlan>();
  const auto pack = open_pack(config, data, evaluated);
  say(stdout, threads.text + "\n");
  print_data(data, sampler, config);
  if (pack) say(stdout, fmt::format("data: pictures are read from the pack {}\n", printable(config.pack)));
  Workload workload = workload_of(options.device, data, evaluated);
  workload.vendors = vendors;
  plan_memory_of(config, workload, pack != nullptr);

  EngineConfig made = engine_config(config, workload);
  made.record_steps = options.graph;
  const auto engine = make_engine(made);
  std::optional<WeightsReport> initial;
  const Progression progression = start_state(options, run.checkpoint, config, data, *engine, initial);
  if (engine->form() == PictureForm::Held) hold_training_set(data, *pack, *engine);

  const RunInputs inputs = inputs_of(options, run.inputs, resumed, evaluated);

  const InterruptGuard guard;
  if (!run.folder) run.folder.emplace(RunFolder::create(options.out));
  RunFolder& folder = *run.folder;
  const auto provenance = run_provenance(threads.count, config.seed, name_of(*config.precision), options.device,
                                         convolution_providers(engine->vendors(), options.device));
  write_run_files(options, folder, config, inputs, engine->vendors(), initial);
  record_provenance(folder.provenance(), provenance, provenance_before, progression.step);
  if (resumed)
    say(stdout, fmt::format("going on from {}, step {}\n", printable(folder.last()), progression.step));
  else if (options.resume)
    say(stdout, fmt::format("{} has no checkpoint yet: starting at step 0\n", printable(options.out)));
  Trainer trainer(config, data, sampler, evaluated, *engine, folder, progression, resumed, options.max_steps,
                  options.device.backend != Backend::cpu, pack, make_cache(config));
  if (!resumed) trainer.save();
  folder.keep();
  const int code = run_trainer(trainer, options, folder);
  if (options.device.backend == Backend::cuda) say_memory(trainer, *engine, options.device);
  return code;
}

}  // namespace mpanet
