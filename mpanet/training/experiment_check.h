// The checks of an experiment before its first run begins: every run's configuration against the data set and the
// machine, its folder, and the summary.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "mpanet/training/experiment.h"

namespace mpanet {

struct CheckedRun {
  PlannedRun planned;
  TrainConfig config;        // with the data set's number of identities
  uint64_t fingerprint = 0;  // data_fingerprint() of its training images
  std::string protocol;      // of its evaluations
};

// The options of one run; with `resume` if its folder exists.
TrainOptions options_of(const TrainOptions& options, const ExperimentOptions& experiment, const PlannedRun& run);

// Writes nothing. UserError, one line that names the run, key or file, for
//   a configuration that the data set, the memory, the weights of --init or the run's checkpoint does not allow,
//   two runs of one configuration, a run without evaluation,
//   an --out that is a single run's folder, a run's folder or a summary that cannot be written,
//   a summary.json that no experiment wrote,
//   runs that began with other initial weights than --init, or were evaluated by several protocols,
//   a configuration, weights or trial file that only the first run could read: a pipe.
std::vector<CheckedRun> check_experiment(const TrainOptions& options, const ExperimentOptions& experiment,
                                         const std::vector<PlannedRun>& runs);

// Whether the run has completed all its epochs with its configuration. UserError if it has trained on other images or
// for more epochs: its results are not what was asked for.
bool is_complete(const std::string& folder, const CheckedRun& run);

}  // namespace mpanet
