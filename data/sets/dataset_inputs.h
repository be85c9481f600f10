// The pictures of a data set, so that no output replaces one of them.
#pragma once
#include <string>

#include "data/sets/dataset.h"

namespace mpanet {

// Registers every picture of the data set at `root` as `name` (core/base/inputs.h), whether the program reads it or
// not: for csv those that the manifest lists, for the other layouts all that lie in the folders of `root`. UserError
// for a bad manifest.
void register_pictures(DatasetKind kind, const std::string& root, const std::string& name);

}  // namespace mpanet
