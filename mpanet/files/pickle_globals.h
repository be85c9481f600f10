// Every name that a pickle may contain, and its meaning for the reader. None of them is called.
#pragma once
#include <optional>
#include <string_view>

#include "mpanet/files/tensor_file.h"

namespace mpanet::pickle {

enum class Role {
  Dict,         // collections.OrderedDict: a dictionary
  List,         // torch.Size, set: a list
  Tensor,       // torch._utils._rebuild_tensor(storage, offset, shape, strides, ...)
  TensorTyped,  // its third version; the seventh argument is the type
  Parameter,    // torch._utils._rebuild_parameter(tensor, ...): the tensor
  FromType,     // torch._tensor._rebuild_from_type_v2(function, type, arguments, state)
  Storage,      // torch.FloatStorage: the type of a storage's elements
  TensorType,   // torch.float32: the type of a tensor's elements
  NumpyDtype,   // numpy.dtype("f8", ...)
  NumpyScalar,  // numpy.core.multiarray.scalar(dtype, bytes): a number
  NumpyArray,   // numpy arrays: a text
  Encode,       // _codecs.encode(text, "latin1"): bytes in protocol 2
  Word,         // torch.device, classes of tensors and arrays, factories of defaultdict: a text
};

struct Global {
  std::string_view module, name;
  Role role;
  std::optional<Dtype> dtype = {};  // of Storage and TensorType; none: bytes without a type
};

// Null for a name that is not allowed.
const Global* find_global(std::string_view module, std::string_view name);

// The storage of a type, "FloatStorage"; "" if PyTorch has no storage for it.
std::string_view storage_of(Dtype dtype);

}  // namespace mpanet::pickle
