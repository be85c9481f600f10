// Checks a data set on disk before hours are spent on it: its lists can be read as training and evaluation read them,
// every picture decodes, and the names are those that SYSU-MM01's trial file lists.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "data/sets/dataset.h"

namespace mpanet {

struct VerifyReport {
  size_t identities = 0, visible = 0, infrared = 0;  // found
  size_t other_files = 0;                            // beside the pictures: no pictures, left aside
  size_t problems = 0;
  bool names_compared = false;     // with SYSU-MM01's trial file
  std::vector<std::string> notes;  // what is no problem and should be known
};

using Problem = std::function<void(const std::string&)>;

// `problem` gets a line for each thing that is wrong, in the order of paths. UserError for what makes the rest
// meaningless: no folder, no lists. Of RegDB all splits are checked whose lists are there. SYSU-MM01's trial file:
// `trial_file`, else where the data set keeps it; without one the names are not compared. threads 0: one a core.
VerifyReport verify_dataset(DatasetKind kind, const std::string& root, const std::string& trial_file, int threads,
                            const Problem& problem);

// The layout that a folder (or manifest) has, by its lists. UserError that names what each layout must have.
DatasetKind find_dataset_kind(const std::string& root);

// What the published data set holds, for comparison: "SYSU-MM01: 491 identities, 30,071 visible and 15,792 infrared
// images"; empty where that is not known.
std::string published_counts(DatasetKind kind);

}  // namespace mpanet
