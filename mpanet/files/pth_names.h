// mpanet's own names in .pth files, for the reader and the writer.
#pragma once
#include <string>

namespace mpanet {

// The entry of the archive with the metadata, an object of strings in JSON.
inline const std::string kPthMetadata = "metadata.json";
// The name of the tensor of a file that has one tensor and no dictionary.
inline const std::string kPthRootTensor = "tensor";

}  // namespace mpanet
