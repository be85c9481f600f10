// inputs.json of a run folder, which makes `mpanet-train --out RUN --resume` sufficient, and commands for a user to
// paste.
#pragma once
#include <string>
#include <vector>

#include "mpanet/config/config.h"
#include "mpanet/training/train.h"

namespace mpanet {

// Sets the options' data set and trial file from `file` (RunFolder::inputs()) unless they are given.
void take_inputs(TrainOptions& options, const std::string& file);
// UserError when the data set's path is unknown, or came from the run folder and does not exist any more.
void check_inputs(const TrainOptions& options);
// Writes the paths of the data set and the trial file to `file`.
void write_inputs(const TrainOptions& options, const std::string& file);

// "mpanet-train --out runs/first --resume", with the given options that the run folder does not keep.
std::string resume_command(const TrainOptions& options);
// The command for a new run that starts from the weights in `last` with the configuration `wanted`, given as
// `config_file` and --set for every difference.
std::string new_run_command(const TrainOptions& options, const std::string& config_file, const TrainConfig& wanted,
                            const std::string& last);

}  // namespace mpanet
