// Runs of a folder, one line each.
#pragma once
#include <string>

namespace mpanet {

// A line with name, state, epochs, best rank-1 and settings for each run folder in `folder` and in the folders of
// experiments in it, by name; of `folder` alone if it is a run. A run or a folder that cannot be read has the reason in
// its line. UserError if there is no run, and if `folder` cannot be read.
std::string list_runs(const std::string& folder);

}  // namespace mpanet
