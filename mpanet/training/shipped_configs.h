// The configurations that come with the programs: share/mpanet/configs beside the programs' folder, in a build tree (a
// link to the sources) as where they are installed.
#pragma once
#include <string>

namespace mpanet {

// The file that a user's --config means: the file of that path, else the shipped configuration of that name ("sysu").
// UserError that lists the shipped ones when a name without a folder is neither.
std::string find_config(const std::string& name);

}  // namespace mpanet
