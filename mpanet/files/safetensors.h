// safetensors files: eight bytes of header length, a JSON header, the tensors' bytes (little endian). Reading trusts
// nothing in the header; writing is atomic and streams, so that no second copy of a model is made.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "mpanet/files/tensor_file.h"
#include "mpanet/files/tensor_source.h"

namespace mpanet {

// Reads and checks the header. UserError, one line with the path: not such a file, truncated, a header length beyond
// the file, broken JSON, a name given twice, an unknown element type, sizes that contradict the shape, data that
// overlap, leave gaps or pass the end of the file.
TensorIndex read_safetensors(const InputFile& file);

// Writes atomically (core/base/file.h). The bytes depend on the content alone: names sorted in the header, data ordered
// by element size and name so that every tensor is aligned to its elements.
void write_safetensors(const std::string& path, std::vector<TensorSource> tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace mpanet
