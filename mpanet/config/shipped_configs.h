// The shipped configurations. They lie in ../share/mpanet/configs relative to the programs' folder, both in an
// installation and in a build tree (there a link to the sources).
#pragma once
#include <string>

namespace mpanet {

// The path for a user's --config: the file of that path if it exists, else the shipped configuration of that name
// ("sysu"). UserError, which lists the shipped ones, when a name without a folder is neither.
std::string find_config(const std::string& name);

}  // namespace mpanet
