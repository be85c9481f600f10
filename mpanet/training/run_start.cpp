#include "mpanet/training/run_start.h"

#include <filesystem>

#include "core/base/error.h"
#include "core/base/output.h"
#include "core/base/text.h"
#include "mpanet/files/weights.h"
#include "mpanet/training/train_plan.h"

namespace mpanet {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_changed(const TrainOptions& options, const Checkpoint& checkpoint, const TrainConfig& wanted,
                               const std::string& keys) {
  const ModelConfig &before = checkpoint.config()->model, &now = wanted.model;
  const std::string file = RunFolder::config_of(options.out);
  std::error_code error;
  std::string advice;
  if (before.depth != now.depth || before.parts != now.parts)
    advice = "its weights do not fit the other network";
  else if (fs::exists(file, error))
    advice = "a new run from its weights: " + new_run_command(options, file, wanted, checkpoint.path());
  fail("{}: the run began with another {}, which cannot change when it goes on{}{}", checkpoint.path(), keys,
       advice.empty() ? "" : "; ", advice);
}

TrainConfig changed_config(TrainConfig config, const TrainOptions& options) {
  for (const std::string& setting : options.settings) set_config(config, setting);
  for (const auto& [key, text] : options.keys) set_config_key(config, key, text);
  return config;
}

}  // namespace

OpenedRun open_run(TrainOptions& options) {
  OpenedRun run;
  std::error_code error;
  if (!options.resume || !fs::exists(options.out, error)) {
    RunFolder::check_can_be_made(options.out);
    if (options.data.empty()) fail("--data is needed: there is no run in {} to go on with", options.out);
    return run;
  }
  run.folder.emplace(RunFolder::open(options.out));
  if (fs::exists(run.folder->last(), error)) run.checkpoint.emplace(run.folder->last());
  run.inputs = read_inputs(run.folder->inputs());
  take_inputs(options, run.inputs);
  return run;
}

std::string protocol_so_far(const RunInputs& inputs, const std::optional<Checkpoint>& checkpoint) {
  const bool evaluated = checkpoint && checkpoint->progression() && checkpoint->progression()->best_epoch > 0;
  return evaluated ? inputs.protocol : "";
}

TrainConfig given_config(const TrainOptions& options, std::vector<std::string>* remarks) {
  return changed_config(read_config(options.config, remarks), options);
}

TrainConfig effective_config(const TrainOptions& options, const std::optional<Checkpoint>& checkpoint,
                             std::vector<std::string>* remarks) {
  if (checkpoint && !checkpoint->progression())
    fail("{}: expected a checkpoint that training can go on from, got a model alone", checkpoint->path());
  if (options.config.empty() && !checkpoint)
    fail("--config is needed: {}", options.resume ? "there is no checkpoint to go on from" : "see --help");
  TrainConfig config =
      options.config.empty() ? changed_config(*checkpoint->config(), options) : given_config(options, remarks);
  check_config(config, options.config.empty() ? checkpoint->path() : options.config);
  if (!checkpoint) return config;
  keep_precision(*checkpoint->config(), config);
  const auto changed = fixed_differences(*checkpoint->config(), config);
  if (!changed.empty()) fail_changed(options, *checkpoint, config, join(changed));
  return config;
}

bool is_finished(const Progression& progression, const TrainConfig& config) {
  return progression.epoch > config.num_epoch;  // the epoch after the last one begins after the last evaluation
}

Progression start_state(const TrainOptions& options, const std::optional<Checkpoint>& checkpoint,
                        const TrainConfig& config, const Dataset& data, Engine& engine,
                        std::optional<WeightsReport>& initial) {
  const uint64_t fingerprint = data_fingerprint(data.train);
  if (checkpoint) {
    checkpoint->load_training(engine);
    if (checkpoint->progression()->data != fingerprint)
      fail("{}: expected the training images that {} began with, got another list", options.data, checkpoint->path());
    if (!options.init.empty()) say(stdout, "--init is not used: the run goes on from its checkpoint\n");
    return *checkpoint->progression();
  }
  engine.initialize(config.seed);
  if (!options.init.empty()) {
    std::string warning;
    initial = load_weights(options.init, engine, &warning);
    if (!warning.empty()) note("mpanet-train: warning: " + warning);
  }
  Progression progression;
  progression.data = fingerprint;
  return progression;
}

}  // namespace mpanet
