// safetensors files: eight bytes of header length, a JSON header, the tensors' bytes (little endian). Reading checks
// the whole header. Writing is atomic, and converts one tensor at a time, so the model is never in memory twice.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "mpanet/files/tensor_file.h"
#include "mpanet/files/tensor_source.h"

namespace mpanet {

// Reads and checks the header. UserError, one line with the path: another format, a truncated file, a header
// longer than the file, invalid JSON, a name given twice, an unknown element type, a size that contradicts the shape,
// data that overlap, leave gaps or exceed the file.
TensorIndex read_safetensors(const InputFile& file);

// Writes atomically (core/base/file.h). The bytes depend only on the content: names sorted in the header, data ordered
// by element size and name so that every tensor is aligned to its elements.
void write_safetensors(const std::string& path, std::vector<TensorSource> tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace mpanet
