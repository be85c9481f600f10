// What a run folder knows beside its checkpoint, so that `mpanet-train --out RUN --resume` is enough, and the commands
// that a user can paste.
#pragma once
#include <string>
#include <vector>

#include "mpanet/training/config.h"
#include "mpanet/training/train.h"

namespace mpanet {

// Fills the options' data set and trial file from the run's file (RunFolder::inputs()) where they are not given.
// UserError when the data set is not known, or no longer where it was.
void take_inputs(TrainOptions& options, const std::string& file);
// Writes that file: where the data set and the trial file lie.
void write_inputs(const TrainOptions& options, const std::string& file);

// "mpanet-train --out runs/first --resume", with what else was given that the run folder does not keep.
std::string resume_command(const TrainOptions& options);
// The command for a run of its own that begins with the weights of `last`, under the configuration `wanted`.
// `config_file` is the file that it starts from.
std::string new_run_command(const TrainOptions& options, const std::string& config_file, const TrainConfig& wanted,
                            const std::string& last);

}  // namespace mpanet
