// PyTorch's .pth files, written by torch.save() from tensors, numbers, texts, lists and dictionaries.
//
//   zip      since PyTorch 1.6: NAME/data.pkl is a pickle, NAME/data/KEY are the storages
//   stream   older: five pickles (a magic number, a version, the machine's byte order, the object, the storages'
//            keys), then each storage as its length and its bytes
//
// A tensor's name is its path in the dictionaries: {"model": {"conv1.weight": ...}, "epoch": 3} has
// "model.conv1.weight".
#pragma once
#include <map>
#include <string>
#include <vector>

#include "mpanet/files/tensor_file.h"
#include "mpanet/files/tensor_source.h"

namespace mpanet {

// Reads everything but the elements. UserError, one line with the path: see zip_archive.h and pickle.h; also big-endian
// files, storages that are missing or whose size differs from the pickle's, tensors that exceed their storage, and
// tensors that expand to much more than the file.
TensorIndex read_pth(const InputFile& file, bool zip);

// Writes a dictionary of tensors in the zip format, so that torch.load(weights_only=True) gives it back. Atomic. The
// bytes depend only on the content. `metadata` becomes a separate entry, which PyTorch ignores and read_pth() returns.
// UserError: an element type for which PyTorch has no storage, more than 4 GiB.
void write_pth(const std::string& path, const std::vector<TensorSource>& tensors,
               const std::map<std::string, std::string>& metadata);

}  // namespace mpanet
