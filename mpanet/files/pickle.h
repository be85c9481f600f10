// A reader of the part of Python's pickles (protocols 2 to 5) that torch.save() of weights uses. It is a small stack
// machine that builds tensors' descriptions, numbers, texts, lists and dictionaries. A pickle names functions to call.
// The reader calls none, and refuses any name that is not in the list of pickle_globals.cpp. Memory is linear in the
// bytes read, no length is trusted before its bytes are read, and nothing recurses.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "mpanet/files/pickle_globals.h"

namespace mpanet::pickle {

using Ref = uint32_t;  // index of a value in its document

struct Value {
  enum class Kind : uint8_t {
    None,
    Bool,     // integer
    Int,      // integer
    Float,    // real
    Text,     // text: UTF-8, or bytes written by Python 2
    Bytes,    // text
    List,     // items; integer is 1 for tuples, which cannot be appended to
    Dict,     // items: key, value, key, value, ...
    Global,   // global
    Storage,  // items: PyTorch's name of the storage
    Tensor,   // items: the arguments of the function `global`
    Dtype,    // text: numpy's name, "f8"; integer is 1 if the bytes are swapped
    Other,    // text: a description for messages
  } kind = Kind::None;
  int64_t integer = 0;
  double real = 0;
  const Global* global = nullptr;
  std::string text = {};
  std::vector<Ref> items = {};
};

struct Document {
  std::vector<Value> values;
  Ref root = 0;
  const Value& at(Ref ref) const { return values[ref]; }
  const Value& top() const { return values[root]; }
};

// Bytes begin..end of a file or buffer; read() as in InputFile.
struct Source {
  std::string name;  // of the file, for messages
  std::function<size_t(void* to, size_t bytes, uint64_t offset)> read;
  uint64_t begin = 0, end = 0;
};

// Reads one pickle and sets source.begin to the byte after it. UserError, one line: a truncated pickle, an unknown
// opcode, operands of a wrong type or number, a name that is not listed, more than 2 million values or 64 MiB.
Document read_pickle(Source& source);

// A short text for a list: "140", "\"sysu\"", "list of 3".
std::string describe(const Document& document, Ref ref);

}  // namespace mpanet::pickle
