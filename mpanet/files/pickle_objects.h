// What the pickle reader makes where a pickle says function(arguments), and of the state that it gives an object.
#pragma once
#include <functional>
#include <string>

#include "mpanet/files/pickle.h"

namespace mpanet::pickle {

struct Objects {
  Document& document;
  std::function<Ref(Value)> add;
  std::function<void(const std::string&)> refuse;  // throws
  size_t& spent;  // bytes and references copied so far, which are bounded: few opcodes can ask for many copies

  // `arguments` is a list.
  Ref make(const Global& function, Ref arguments);

 private:
  const Value& argument(const std::vector<Ref>& list, size_t i, const char* what);
  void spend(size_t amount);
  Ref dictionary(const std::vector<Ref>& arguments);
  Ref tensor(const Global& function, const std::vector<Ref>& arguments);
  Ref from_type(const std::vector<Ref>& arguments);
  Ref numpy_scalar(const std::vector<Ref>& arguments);
  Ref encoded(const std::vector<Ref>& arguments);
};

// `state` of an object: attributes of dictionaries and tensors are ignored, numpy's say what the object is. False: the
// object has none.
bool set_state(const Document& document, Value& object, Ref state);

}  // namespace mpanet::pickle
