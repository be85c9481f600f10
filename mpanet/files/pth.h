// PyTorch's .pth files: what torch.save() writes of tensors, numbers, texts, lists and dictionaries.
//
//   zip      since PyTorch 1.6: NAME/data.pkl is a pickle, NAME/data/KEY are the storages
//   stream   before: five pickles (a magic number, a version, the machine's byte order, the object, the storages'
//   keys),
//            then each storage as its length and its bytes
//
// Tensors are named by their place: {"model": {"conv1.weight": ...}, "epoch": 3} holds "model.conv1.weight".
#pragma once
#include <map>
#include <string>
#include <vector>

#include "mpanet/files/tensor_file.h"
#include "mpanet/files/tensor_source.h"

namespace mpanet {

// Reads everything but the elements. UserError, one line with the path: what zip_archive.h and pickle.h say, big-endian
// files, storages that are missing or have another size than the pickle says, tensors that reach beyond their storage,
// and tensors that expand to much more than the file.
TensorIndex read_pth(const InputFile& file, bool zip);

// Writes a dictionary of tensors in the zip format, so that torch.load(weights_only=True) gives it back. Atomic. The
// bytes depend on the content alone. `metadata` goes into an entry of its own, which PyTorch does not look at and
// read_pth() returns. UserError: an element type that PyTorch stores in no storage of its own, more than 4 GiB.
void write_pth(const std::string& path, const std::vector<TensorSource>& tensors,
               const std::map<std::string, std::string>& metadata);

}  // namespace mpanet
