// inputs.json of a run folder, which makes `mpanet-train --out RUN --resume` sufficient, and commands for a user to
// paste.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "mpanet/config/config.h"
#include "mpanet/training/train.h"

namespace mpanet {

// The weights that a run began with. All empty: random ones.
struct InitialWeights {
  std::string path;    // absolute
  std::string sha256;  // of the file; empty if it could be read only once (a pipe)
};

// The content of inputs.json. Older versions wrote neither `protocol` nor `initial`.
struct RunInputs {
  std::string data, trials;               // absolute paths; empty: not recorded
  std::string protocol;                   // of the evaluations between epochs; empty: unknown, or none planned
  std::optional<InitialWeights> initial;  // nullopt: unknown
};

// Reads `file` (RunFolder::inputs()); all unknown if there is none. UserError for other types of values.
RunInputs read_inputs(const std::string& file);
// Writes `file`, without the paths that are not UTF-8.
void write_inputs(const RunInputs& inputs, const std::string& file);
// What --init gives to a run that begins now. UserError for a file that cannot be read.
InitialWeights initial_weights(const std::string& path);

// Sets the options' data set and trial file unless they are given.
void take_inputs(TrainOptions& options, const RunInputs& inputs);
// UserError when the data set's path is unknown, or came from the run folder and does not exist any more.
void check_inputs(const TrainOptions& options);

// "mpanet-train --out runs/first --resume", with the given options that the run folder does not keep.
std::string resume_command(const TrainOptions& options);
// The command for a new run that starts from the weights in `last` with the configuration `wanted`, given as
// `config_file` and --set for every difference.
std::string new_run_command(const TrainOptions& options, const std::string& config_file, const TrainConfig& wanted,
                            const std::string& last);

}  // namespace mpanet
