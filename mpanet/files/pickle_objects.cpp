#include "mpanet/files/pickle_objects.h"

#include <algorithm>
#include <cstring>

#include "core/base/error.h"
#include "core/base/quote.h"
#include "core/base/real.h"

namespace mpanet::pickle {
namespace {

using Kind = Value::Kind;
constexpr size_t kMostSpent = size_t{64} << 20;
constexpr size_t kMostArguments = 8;  // of PyTorch's functions
constexpr const char* kArray = "numpy array";

// The value of numpy's bytes; Kind::Other if the type is not a plain number.
Value numpy_number(const Value& dtype, const std::string& bytes) {
  const auto load = [&]<class T>(T value) {
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  };
  const std::string& type = dtype.text;
  const bool fits = type.size() == 2 && bytes.size() == static_cast<size_t>(type[1] - '0') && dtype.integer == 0;
  const auto whole = [](auto value) { return Value{Kind::Int, static_cast<int64_t>(value)}; };
  const auto fraction = [](auto value) { return Value{Kind::Float, 0, static_cast<double>(value)}; };
  if (fits && type == "f8") return fraction(load(double{}));
  if (fits && type == "f4") return fraction(load(float{}));
  if (fits && type == "f2") return fraction(float16_value(load(uint16_t{})));
  if (fits && type == "i8") return whole(load(int64_t{}));
  if (fits && type == "i4") return whole(load(int32_t{}));
  if (fits && type == "i2") return whole(load(int16_t{}));
  if (fits && type == "i1") return whole(load(int8_t{}));
  if (fits && type == "u4") return whole(load(uint32_t{}));
  if (fits && type == "u2") return whole(load(uint16_t{}));
  if (fits && type == "u1") return whole(load(uint8_t{}));
  if (fits && type == "b1") return {Kind::Bool, bytes[0] != 0};
  return {Kind::Other, 0, 0, nullptr, fmt::format("numpy scalar of {}", quote(type.substr(0, 20)))};
}

std::string array_text(const Document& document, Ref shape, Ref dtype) {
  std::string sizes;
  for (const Ref size : document.at(shape).items)
    if (sizes.size() < 60) sizes += (sizes.empty() ? "" : ", ") + std::to_string(document.at(size).integer);
  return fmt::format("{} ({}) of {}", kArray, sizes, quote(document.at(dtype).text.substr(0, 20)));
}

}  // namespace

const Value& Objects::argument(const std::vector<Ref>& list, size_t i, const char* what) {
  if (i >= list.size()) refuse(fmt::format("expected {}", what));
  return document.at(list[i]);
}

void Objects::spend(size_t amount) {
  spent += amount;
  if (spent > kMostSpent) refuse("asks for too many copies");
}

Ref Objects::make(const Global& function, Ref arguments) {
  const size_t count = document.at(arguments).items.size();
  spend(count);
  const std::vector<Ref> list = document.at(arguments).items;
  switch (function.role) {
    case Role::Dict:
      return dictionary(list);
    case Role::List:
      if (count == 0) return add({Kind::List});
      if (argument(list, 0, "a list").kind != Kind::List) refuse("expected a list");
      return list[0];
    case Role::Tensor:
    case Role::TensorTyped:
      return tensor(function, list);
    case Role::Parameter:
      if (argument(list, 0, "a tensor").kind != Kind::Tensor) refuse("expected the tensor of a parameter");
      return list[0];
    case Role::FromType:
      return from_type(list);
    case Role::NumpyDtype: {
      const Value& name = argument(list, 0, "numpy's name of a dtype");
      if (name.kind != Kind::Text || name.text.size() > 100) refuse("expected numpy's name of a dtype");
      const std::string text = name.text;
      return add({Kind::Dtype, 0, 0, nullptr, text});
    }
    case Role::NumpyScalar:
      return numpy_scalar(list);
    case Role::NumpyArray:
      // Protocol 5: (bytes, dtype, shape, order). In older protocols the state has shape and dtype.
      return add({Kind::Other, 0, 0, nullptr, count == 4 ? array_text(document, list[2], list[1]) : kArray});
    case Role::Encode:
      return encoded(list);
    case Role::Word: {
      std::string text = fmt::format("{}.{}", function.module, function.name);
      if (count > 0) text += fmt::format(" {}", describe(document, list[0]));
      return add({Kind::Other, 0, 0, nullptr, text});
    }
    case Role::Storage:
    case Role::TensorType:
      refuse(fmt::format("{}.{} is no function", function.module, function.name));
  }
  return 0;
}

// OrderedDict(), Counter({...}), defaultdict(list), and Python 2's OrderedDict([[key, value], ...]).
Ref Objects::dictionary(const std::vector<Ref>& arguments) {
  for (const Ref ref : arguments)
    if (document.at(ref).kind == Kind::Dict) return ref;
  Value made{Kind::Dict};
  if (arguments.size() == 1 && document.at(arguments[0]).kind == Kind::List)
    for (const Ref pair : document.at(arguments[0]).items) {
      const Value& both = document.at(pair);
      if (both.kind != Kind::List || both.items.size() != 2) refuse("expected pairs of a key and a value");
      spend(2);
      made.items.insert(made.items.end(), both.items.begin(), both.items.end());
    }
  return add(std::move(made));
}

Ref Objects::tensor(const Global& function, const std::vector<Ref>& arguments) {
  if (arguments.size() < 4 || arguments.size() > kMostArguments) refuse("expected the arguments of a tensor");
  return add({Kind::Tensor, 0, 0, &function, {}, arguments});
}

// A tensor of a subclass: only the tensor is kept.
Ref Objects::from_type(const std::vector<Ref>& arguments) {
  const Value &function = argument(arguments, 0, "a function"), &inner = argument(arguments, 2, "arguments");
  if (function.kind != Kind::Global || inner.kind != Kind::List) refuse("expected a function and its arguments");
  const Role role = function.global->role;
  if (role != Role::Tensor && role != Role::TensorTyped && role != Role::Parameter)
    refuse("expected one of PyTorch's functions that make a tensor");
  return make(*function.global, arguments[2]);
}

Ref Objects::numpy_scalar(const std::vector<Ref>& arguments) {
  const Value &dtype = argument(arguments, 0, "numpy's dtype"), &bytes = argument(arguments, 1, "numpy's bytes");
  if (dtype.kind != Kind::Dtype) refuse("expected numpy's dtype");
  if (bytes.kind == Kind::Bytes) return add(numpy_number(dtype, bytes.text));
  return add({Kind::Other, 0, 0, nullptr, "numpy scalar"});
}

// Converts code points 0..255, which have one or two bytes in UTF-8, to bytes.
Ref Objects::encoded(const std::vector<Ref>& arguments) {
  const Value &text = argument(arguments, 0, "a text"), &encoding = argument(arguments, 1, "an encoding");
  if (text.kind != Kind::Text || (encoding.text != "latin1" && encoding.text != "latin-1"))
    refuse("expected bytes as a text in latin1");
  spend(text.text.size());
  Value bytes{Kind::Bytes};
  for (size_t i = 0; i < text.text.size(); i++) {
    const auto c = static_cast<uint8_t>(text.text[i]);
    const bool pair = (c == 0xc2 || c == 0xc3) && i + 1 < text.text.size();
    if (c >= 0x80 && !pair) refuse("expected bytes as a text in latin1");
    bytes.text += pair ? static_cast<char>((c & 3) << 6 | (text.text[++i] & 0x3f)) : static_cast<char>(c);
  }
  return add(std::move(bytes));
}

bool set_state(const Document& document, Value& object, Ref state) {
  const std::vector<Ref>& items = document.at(state).items;
  if (object.kind == Kind::Dict || object.kind == Kind::Tensor) return true;
  if (object.kind == Kind::Dtype) {  // (version, byte order, ...)
    object.integer = items.size() > 1 && document.at(items[1]).text == ">";
    return true;
  }
  if (object.kind != Kind::Other || object.text != kArray) return false;
  if (items.size() > 2) object.text = array_text(document, items[1], items[2]);  // (version, shape, dtype, ...)
  return true;
}

}  // namespace mpanet::pickle
