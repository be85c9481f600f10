// Several runs by one command: RegDB's splits, seeds, and sweeps over values of the configuration. Every run has a
// folder of its own below the experiment's folder, and is made, gone on with or left alone there, whichever it needs,
// so that the same command goes on after any stop.
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
  std::string command;      // for the message that says how to go on
};

// One run of an experiment.
struct PlannedRun {
  std::string name;                   // of its folder: "split-3", "split-3_seed-0_lr=0.001"
  std::vector<std::string> settings;  // "key=value", after those of the command line
  std::string group;                  // equal for runs that differ in split and seed alone; empty without a sweep
};

// All combinations: the sweep's values outermost, then splits, then seeds. UserError for a sweep that is no object of
// lists, an unknown key, a value that the key does not allow, and a key that --splits or --seeds gives too.
std::vector<PlannedRun> plan_runs(const ExperimentOptions& options);

// Trains all runs one after another into OUT/NAME, and writes OUT/summary.json after each: the best evaluation of each
// run, the last one, and mean and standard deviation (n - 1) over the runs of a group. Prints a line a run and the
// table at the end. A run that is complete is not trained again. Every run's configuration and lists are checked before
// the first one begins. Returns the exit code: 0, or that of the run that a signal stopped.
int run_experiment(const TrainOptions& options, const ExperimentOptions& experiment);

}  // namespace mpanet
