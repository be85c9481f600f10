// Several runs by one command: RegDB's splits, seeds, and sweeps over values of the configuration. Every run has its
// own folder in the experiment's folder. New runs are started, stopped runs are resumed, and complete runs are skipped,
// so the same command resumes an experiment after any stop.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "mpanet/training/train.h"

namespace mpanet {

struct ExperimentOptions {
  std::vector<int> splits;  // of RegDB; empty: the configuration's
  std::vector<int> seeds;   // empty: the configuration's
  std::string sweep;        // JSON file: {"key": [values]}; empty: none
  std::string command;      // for the message about resuming
};

// One run of an experiment.
struct PlannedRun {
  std::string name;                   // of its folder: "split-3", "split-3_seed-0_lr=0.001"
  std::vector<std::string> settings;  // "key=value", after those of the command line
  std::string group;                  // equal for runs that differ only in split and seed; empty without a sweep
};

// All combinations: the sweep's values outermost, then splits, then seeds. UserError for a sweep that is not an object
// of lists, an unknown key, a value that the key does not allow, one value twice (1 and 1.0), and a key that --splits
// or --seeds also sets, and for more than 10,000 runs.
std::vector<PlannedRun> plan_runs(const ExperimentOptions& options);

// Trains all runs one after another into OUT/NAME, and writes OUT/summary.json after each: the best evaluation of each
// run, the last one, and mean and standard deviation (n - 1) over the runs of a group. Prints one line per run, and the
// table at the end. A complete run is not trained again. Everything is checked before the first run begins
// (experiment_check.h). After a signal no further run begins. Returns the exit code: 0, or 128 + the signal's number if
// a run was stopped or not begun.
int run_experiment(const TrainOptions& options, const ExperimentOptions& experiment);

}  // namespace mpanet
