// Checks a data set on disk before a long training: its lists can be read by the functions that training and evaluation
// use, every picture can be decoded, and the names are those that SYSU-MM01's trial file lists.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "data/sets/dataset.h"

namespace mpanet {

struct VerifyReport {
  size_t identities = 0, visible = 0, infrared = 0;  // numbers of identities and of pictures
  size_t problems = 0;
  bool names_compared = false;     // with SYSU-MM01's trial file
  std::vector<std::string> notes;  // information that is no problem
};

using Problem = std::function<void(const std::string&)>;

// Calls `problem` with one line for each problem, in the order of paths. UserError when the folder or the lists are
// missing. For RegDB all splits with lists are checked. SYSU-MM01's trial file is `trial_file`, or the one in the data
// set; without one the names are not compared. threads: for decoding; 0 means usable_processors().
VerifyReport verify_dataset(DatasetKind kind, const std::string& root, const std::string& trial_file, int threads,
                            const Problem& problem);

}  // namespace mpanet
