// The files of a data set, so that no output replaces one of them.
#pragma once
#include <string>

#include "data/sets/dataset.h"

namespace mpanet {

// Registers every picture of the data set at `root` as `name` (core/base/inputs.h), whether the program reads it or
// not: for csv those that the manifest lists, for the other layouts all that lie in the folders of `root`. UserError
// for a bad manifest.
void register_pictures(DatasetKind kind, const std::string& root, const std::string& name);

// Registers its lists (dataset_lists()) and pictures, as "a list of the data set" and "a picture of the data set".
void register_dataset(DatasetKind kind, const std::string& root);

}  // namespace mpanet
