// Names in .pth files that are ours, for the reader and the writer.
#pragma once
#include <string>

namespace mpanet {

// The entry of the archive with the metadata, an object of strings in JSON.
inline const std::string kPthMetadata = "metadata.json";
// What a file that holds one tensor and no dictionary calls it.
inline const std::string kPthRootTensor = "tensor";

}  // namespace mpanet
