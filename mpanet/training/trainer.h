// The loop over epochs and batches of a run: steps, log, checkpoints, and the evaluation between epochs.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/loading/loader.h"
#include "data/sets/dataset.h"
#include "mpanet/config/config.h"
#include "mpanet/evaluation/plan.h"
#include "mpanet/files/checkpoint.h"
#include "mpanet/network/engine.h"
#include "mpanet/training/checkpoint_writer.h"
#include "mpanet/training/run_folder.h"
#include "mpanet/training/train_report.h"

namespace mpanet {

class Trainer {
 public:
  // The references must outlive it. `evaluated`: the plans of the evaluation; empty: none. `progression`: where the run
  // starts. `resumed`: it comes from last.safetensors. `max_steps`: stop after this step, counted from the run's first.
  // `reads_late`: a step's numbers are read after the next step was launched, so that a GPU always has work. A CPU has
  // computed a step when it was launched. `pack`: of open_pack(). `cache`: of make_cache().
  Trainer(const TrainConfig& config, const Dataset& data, const Sampler& sampler,
          const std::vector<EvaluationPlan>& evaluated, Engine& engine, RunFolder& folder, Progression progression,
          bool resumed, std::optional<int64_t> max_steps, bool reads_late, std::shared_ptr<const Pack> pack,
          std::shared_ptr<ImageCache> cache);

  // Trains until the last epoch or max_steps. A signal ends it with the exception Interrupted, after a checkpoint.
  // UserError for a loss or weights that are not finite, and for a checkpoint that could not be written;
  // last.safetensors then still has the one before. Every checkpoint is written when it returns.
  void run();
  void save();  // writes last.safetensors unless it has this state, and waits for it
  void say(const std::string& line) { report_.say(line); }
  const TrainConfig& config() const { return config_; }
  const Progression& progression() const { return p_; }
  // When the last step was complete, and the number of checkpoints begun so far: for bench-train.
  std::chrono::steady_clock::time_point last_step_end() const { return clock_; }
  int64_t checkpoints() const { return checkpoints_; }

 private:
  int64_t launched_steps() const { return p_.step + launched_; }
  size_t launched_batches() const { return static_cast<size_t>(p_.batch + launched_); }
  bool at_max_steps() const { return max_steps_ && launched_steps() >= *max_steps_; }
  bool epoch_is_complete() const;
  bool checkpoint_is_due() const;
  void start_save(CheckpointWriter::Files files = CheckpointWriter::Files::Last);
  void train();
  bool run_batches(const std::vector<std::vector<int>>& batches);
  // Of bytes two in turn: the device may still copy the pictures of one.
  using Batches = std::array<Batch, 2>;
  void load(Loader& loader, Batches& batches);
  void run_step(Loader& loader, Batches& batches);
  void read_step();
  void finish_steps();
  void finish_epoch();
  bool evaluate();
  void stop_if_interrupted();

  const TrainConfig& config_;
  const Dataset& data_;
  const Sampler& sampler_;
  const std::vector<EvaluationPlan>& evaluated_;
  Engine& engine_;
  RunFolder& folder_;
  Progression p_;
  std::optional<int64_t> max_steps_;
  bool reads_late_;
  int launched_ = 0;                             // steps whose numbers were not read: 0, or 1 with reads_late_
  size_t batches_ = 0;                           // of the epoch
  std::chrono::steady_clock::time_point clock_;  // when the last step was read, or launched after a pause
  bool saved_ = false;                           // last.safetensors holds the current state, or will
  std::chrono::steady_clock::time_point save_clock_ = std::chrono::steady_clock::now();  // of the last checkpoint
  std::shared_ptr<ImageCache> cache_;
  std::shared_ptr<const Pack> pack_;
  int64_t checkpoints_ = 0;
  TrainReport report_;
  CheckpointWriter writer_;
};

}  // namespace mpanet
