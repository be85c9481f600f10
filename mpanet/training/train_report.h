// The output of a training run: progress on stdout, and log.jsonl.
#pragma once
#include <string>
#include <vector>

#include "core/base/progress.h"
#include "mpanet/config/config.h"
#include "mpanet/evaluation/results.h"
#include "mpanet/files/checkpoint.h"
#include "mpanet/training/run_folder.h"

namespace mpanet {

// The criterion of the best model: rank-1 of the protocol's first setting (SYSU-MM01: all search, single shot), the
// mean over its directions. Its description, and its value in percent.
const char* selection_name(DatasetKind dataset);
double selection_rank1(const std::vector<Evaluation>& evaluations);

class TrainReport {
 public:
  // `progression`: the state that the run starts or resumes from. `last_step`: the step of --max-steps, or -1.
  TrainReport(const TrainConfig& config, const std::string& log_path, const Progression& progression,
              bool evaluation_due, int64_t last_step);

  // To be called after every step. `batches`: number of batches in the current epoch. `seconds`: of this step.
  void step(const Progression& progression, size_t batches, const Losses& losses, double seconds);
  // To be called after an epoch's last step.
  void epoch(const Progression& progression);
  void evaluation(const Progression& progression, const std::vector<Evaluation>& evaluations, bool best);
  // Prints a line. A progress line that is being redrawn continues below it.
  void say(const std::string& line) { line_.say(line); }

 private:
  void show(const Progression& progression, size_t batches, const Losses& losses, double speed);
  double seconds_left(const Progression& progression, size_t batches) const;
  void estimate(size_t batches);

  const TrainConfig& config_;
  RunLog log_;
  ProgressLine line_{stdout};
  int64_t last_step_;
  int64_t steps_ = 0;          // steps of this process
  double timed_seconds_ = 0;   // of all steps but the first, which prepares the engine
  double period_seconds_ = 0;  // since the last line of progress
  int64_t period_steps_ = 0;
};

}  // namespace mpanet
