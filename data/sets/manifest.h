// A data set of one's own: a CSV manifest with a header and the columns
//   path       of the picture, relative to the manifest's folder
//   identity   a whole number
//   camera     a whole number
//   modality   visible or infrared
//   split      train, query or gallery
// in any order. Other columns are left aside.
#pragma once
#include <string>

#include "data/sets/dataset.h"

namespace mpanet {

inline constexpr const char* kManifestName = "manifest.csv";
inline constexpr const char* kManifestHeader = "path,identity,camera,modality,split";

// The manifest that `data` means: itself, or the manifest.csv in the folder.
std::string manifest_path(const std::string& data);

// UserError with the line's number: a missing or doubled column, a field that is missing or none of what it may be, a
// path that leaves the folder or stands twice, an identity in training and in the test; and what read_dataset() says.
Dataset read_manifest(const std::string& data, Split split);

}  // namespace mpanet
