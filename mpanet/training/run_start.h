// The start of a run: what its folder holds, its effective configuration, and the engine's first state.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "mpanet/files/checkpoint.h"
#include "mpanet/files/state_dict.h"
#include "mpanet/training/resume.h"
#include "mpanet/training/run_folder.h"
#include "mpanet/training/train.h"

namespace mpanet {

// A run that goes on: its folder, and its checkpoint if it has saved one. Both empty: a new run.
struct OpenedRun {
  std::optional<RunFolder> folder;
  std::optional<Checkpoint> checkpoint;
  RunInputs inputs;  // of its inputs.json
};

// The protocol that the run's evaluations so far were by; empty if it has none, or an older version made it.
std::string protocol_so_far(const RunInputs& inputs, const std::optional<Checkpoint>& checkpoint);

// With options.resume and a folder that exists: opens it, and fills the options that inputs.json has. Otherwise checks
// that the folder can be made.
OpenedRun open_run(TrainOptions& options);

// The configuration that the options give, from its file; not checked as a whole (check_config()). `remarks` as in
// read_config().
TrainConfig given_config(const TrainOptions& options, std::vector<std::string>* remarks = nullptr);

// The configuration from the options' file or the checkpoint, changed by the options and checked. UserError also if a
// key differs from the checkpoint's that cannot change when the run goes on. The precision of a new run may be auto.
TrainConfig effective_config(const TrainOptions& options, const std::optional<Checkpoint>& checkpoint,
                             std::vector<std::string>* remarks = nullptr);

// Whether all epochs of the configuration are trained and evaluated.
bool is_finished(const Progression& progression, const TrainConfig& config);

// Sets the engine's values, from the checkpoint, --init or at random, and returns the run's progression. `initial`
// reports the tensors that --init gave.
Progression start_state(const TrainOptions& options, const std::optional<Checkpoint>& checkpoint,
                        const TrainConfig& config, const Dataset& data, Engine& engine,
                        std::optional<WeightsReport>& initial);

}  // namespace mpanet
