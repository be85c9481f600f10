// Checks a data set on disk before hours are spent on it: every picture decodes, and the names are those that
// the trial file lists.
#pragma once
#include <functional>
#include <string>

namespace mpanet {

struct VerifyReport {
  size_t identities = 0, visible = 0, infrared = 0;  // found
  size_t other_files = 0;                            // in the identities' folders, not named *.jpg: ignored
  size_t problems = 0;
};

// `problem` gets a line for each thing that is wrong, in the order of paths. UserError for what makes the rest
// meaningless: no folder, no lists, no trial file. threads 0: one a core.
VerifyReport verify_sysu(const std::string& root, const std::string& trial_file, int threads,
                         const std::function<void(const std::string&)>& problem);

}  // namespace mpanet
