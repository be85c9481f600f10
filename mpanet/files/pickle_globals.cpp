#include "mpanet/files/pickle_globals.h"

#include <algorithm>

namespace mpanet::pickle {
namespace {

constexpr struct {
  Dtype dtype;
  std::string_view torch, storage;
} kTorchTypes[] = {{Dtype::F64, "float64", "DoubleStorage"},
                   {Dtype::F32, "float32", "FloatStorage"},
                   {Dtype::F16, "float16", "HalfStorage"},
                   {Dtype::BF16, "bfloat16", "BFloat16Storage"},
                   {Dtype::I64, "int64", "LongStorage"},
                   {Dtype::I32, "int32", "IntStorage"},
                   {Dtype::I16, "int16", "ShortStorage"},
                   {Dtype::I8, "int8", "CharStorage"},
                   {Dtype::U64, "uint64", ""},
                   {Dtype::U32, "uint32", ""},
                   {Dtype::U16, "uint16", ""},
                   {Dtype::U8, "uint8", "ByteStorage"},
                   {Dtype::Bool, "bool", "BoolStorage"},
                   {Dtype::F8_E4M3, "float8_e4m3fn", ""},
                   {Dtype::F8_E5M2, "float8_e5m2", ""},
                   {Dtype::C64, "complex64", "ComplexFloatStorage"}};

constexpr Global kGlobals[] = {{"collections", "OrderedDict", Role::Dict},
                               {"collections", "Counter", Role::Dict},
                               {"collections", "defaultdict", Role::Dict},
                               {"builtins", "dict", Role::Dict},
                               {"builtins", "list", Role::List},
                               {"builtins", "tuple", Role::List},
                               {"builtins", "set", Role::List},
                               {"builtins", "frozenset", Role::List},
                               {"builtins", "int", Role::Word},
                               {"builtins", "float", Role::Word},
                               {"builtins", "complex", Role::Word},
                               {"torch", "Size", Role::List},
                               {"torch", "device", Role::Word},
                               {"torch", "Tensor", Role::Word},
                               {"torch.nn.parameter", "Parameter", Role::Word},
                               {"torch._utils", "_rebuild_tensor", Role::Tensor},
                               {"torch._utils", "_rebuild_tensor_v2", Role::Tensor},
                               {"torch._utils", "_rebuild_tensor_v3", Role::TensorTyped},
                               {"torch._utils", "_rebuild_parameter", Role::Parameter},
                               {"torch._utils", "_rebuild_parameter_with_state", Role::Parameter},
                               {"torch._tensor", "_rebuild_from_type_v2", Role::FromType},
                               {"torch.storage", "UntypedStorage", Role::Storage},
                               {"torch", "UntypedStorage", Role::Storage},
                               {"numpy", "dtype", Role::NumpyDtype},
                               {"numpy", "ndarray", Role::Word},
                               {"numpy.core.multiarray", "scalar", Role::NumpyScalar},
                               {"numpy._core.multiarray", "scalar", Role::NumpyScalar},
                               {"numpy.core.multiarray", "_reconstruct", Role::NumpyArray},
                               {"numpy._core.multiarray", "_reconstruct", Role::NumpyArray},
                               {"numpy.core.numeric", "_frombuffer", Role::NumpyArray},
                               {"numpy._core.numeric", "_frombuffer", Role::NumpyArray},
                               {"_codecs", "encode", Role::Encode}};

constexpr std::string_view kTorchModules[] = {"torch", "torch.cuda"};

// The types of tensors and storages with their modules, made once from the table above.
const std::vector<Global>& typed_globals() {
  static const std::vector<Global> all = [] {
    std::vector<Global> list;
    for (const auto& type : kTorchTypes) {
      list.push_back({"torch", type.torch, Role::TensorType, type.dtype});
      for (const std::string_view module : kTorchModules)
        if (!type.storage.empty()) list.push_back({module, type.storage, Role::Storage, type.dtype});
    }
    return list;
  }();
  return all;
}

}  // namespace

const Global* find_global(std::string_view module, std::string_view name) {
  if (module == "__builtin__") module = "builtins";  // Python 2
  const auto same = [&](const Global& global) { return global.module == module && global.name == name; };
  const auto* plain = std::find_if(std::begin(kGlobals), std::end(kGlobals), same);
  if (plain != std::end(kGlobals)) return plain;
  const auto typed = std::find_if(typed_globals().begin(), typed_globals().end(), same);
  return typed == typed_globals().end() ? nullptr : &*typed;
}

std::string_view storage_of(Dtype dtype) {
  for (const auto& type : kTorchTypes)
    if (type.dtype == dtype) return type.storage;
  return "";
}

}  // namespace mpanet::pickle
