// Checks a data set on disk before a long training: every picture can be decoded, and the names are those that the
// trial file lists.
#pragma once
#include <functional>
#include <string>

namespace mpanet {

struct VerifyReport {
  size_t identities = 0, visible = 0, infrared = 0;  // numbers of identities and of pictures on disk
  size_t other_files = 0;                            // files in identities' folders that are no images; ignored
  size_t problems = 0;
};

// Calls `problem` with one line for each problem, in the order of paths. UserError when the folder, the lists or the
// trial file are missing or malformed. threads: for decoding; 0 means usable_processors().
VerifyReport verify_sysu(const std::string& root, const std::string& trial_file, int threads,
                         const std::function<void(const std::string&)>& problem);

}  // namespace mpanet
