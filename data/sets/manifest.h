// A CSV manifest with a header and these columns, in any order:
//   path       of the picture, relative to the manifest's folder
//   identity   a whole number
//   camera     a whole number
//   modality   visible or infrared
//   split      train, query or gallery
// Other columns are ignored. The reader names them, except `name` (the person's, which import.h writes).
#pragma once
#include <string>
#include <vector>

#include "data/sets/dataset.h"

namespace mpanet {

inline constexpr const char* kManifestName = "manifest.csv";
inline constexpr const char* kManifestHeader = "path,identity,camera,modality,split";

// The path of the manifest: `data`, or manifest.csv in the folder `data`.
std::string manifest_path(const std::string& data);

// UserError, with the line's number, for a missing or doubled column, a missing or invalid field, a path outside of the
// folder or given twice, and an identity in training and in the test; also the errors of read_dataset().
Dataset read_manifest(const std::string& data, Split split);

// The paths of all pictures that the manifest lists, of both parts, below its folder; none if it is no regular file, as
// a pipe cannot be read twice. UserError for a bad row.
std::vector<std::string> manifest_pictures(const std::string& data);

}  // namespace mpanet
