// The part of the verification for SYSU-MM01's layout: folders by camera and identity, and a trial file.
#pragma once
#include <string>
#include <vector>

#include "data/sets/verify.h"

namespace mpanet {

// Checks everything except decoding. Returns the paths of the pictures, ascending.
std::vector<std::string> verify_sysu_names(const std::string& root, const std::string& trial_file, VerifyReport& report,
                                           const Problem& problem);

}  // namespace mpanet
