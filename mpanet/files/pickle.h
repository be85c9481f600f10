// Python's pickles, protocols 2 to 5, as far as torch.save() of weights needs them. The reader is a small machine that
// builds tensors' descriptions, numbers, texts, lists and dictionaries. It calls nothing: a pickle names what it wants
// called, and any name that is not in the list of pickle_globals.cpp is refused. Memory is linear in the bytes read, no
// length is trusted before the bytes are there, nothing recurses.
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
    Text,     // text: UTF-8, or what Python 2 wrote
    Bytes,    // text
    List,     // items; integer is 1 for tuples, which do not grow
    Dict,     // items: key, value, key, value, ...
    Global,   // global
    Storage,  // items: what PyTorch names the storage by
    Tensor,   // items: the arguments of the function `global`
    Dtype,    // text: numpy's name, "f8"; integer is 1 where the bytes are swapped
    Other,    // text: what it is, for people
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

// Bytes begin..end of something; read() as InputFile's.
struct Source {
  std::string name;  // of the file, for messages
  std::function<size_t(void* to, size_t bytes, uint64_t offset)> read;
  uint64_t begin = 0, end = 0;
};

// Reads one pickle and moves source.begin behind it. UserError, one line: ends early, an unknown opcode, a stack that
// does not hold what an opcode takes, a name that builds no weights, more than 2 million values or 64 MiB.
Document read_pickle(Source& source);

// A short text for a list: "140", "\"sysu\"", "list of 3".
std::string describe(const Document& document, Ref ref);

}  // namespace mpanet::pickle
