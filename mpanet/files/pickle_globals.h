// Every name that a pickle may ask for, and what the reader makes of it. None of them is called.
#pragma once
#include <optional>
#include <string_view>

#include "mpanet/files/tensor_file.h"

namespace mpanet::pickle {

enum class Role {
  Dict,         // collections.OrderedDict: a dictionary
  List,         // torch.Size, set: a list
  Tensor,       // torch._utils._rebuild_tensor(storage, offset, shape, strides, ...)
  TensorTyped,  // the third version, with its type as the seventh argument
  Parameter,    // torch._utils._rebuild_parameter(tensor, ...): the tensor
  FromType,     // torch._tensor._rebuild_from_type_v2(function, type, arguments, state)
  Storage,      // torch.FloatStorage: the type of a storage's elements
  TensorType,   // torch.float32: the type of a tensor's elements
  NumpyDtype,   // numpy.dtype("f8", ...)
  NumpyScalar,  // numpy.core.multiarray.scalar(dtype, bytes): a number
  NumpyArray,   // numpy arrays: words
  Encode,       // _codecs.encode(text, "latin1"): how protocol 2 writes bytes
  Word,         // torch.device, classes of tensors and arrays, factories of defaultdict: words
};

struct Global {
  std::string_view module, name;
  Role role;
  std::optional<Dtype> dtype = {};  // of Storage and TensorType; none: bytes without a type
};

// Null where nobody may ask for it.
const Global* find_global(std::string_view module, std::string_view name);

// The storage of a type, "FloatStorage"; "" where PyTorch has none of its own.
std::string_view storage_of(Dtype dtype);

}  // namespace mpanet::pickle
