// The pickle reader's values for function(arguments), and for the state of an object.
#pragma once
#include <functional>
#include <string>

#include "mpanet/files/pickle.h"

namespace mpanet::pickle {

struct Objects {
  Document& document;
  std::function<Ref(Value)> add;
  std::function<void(const std::string&)> refuse;  // throws
  size_t& spent;  // bytes and references copied so far; bounded, because few opcodes can require many copies

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

// Sets the `state` of an object: attributes of dictionaries and tensors are ignored, numpy's describe the object. False
// if the object cannot have a state.
bool set_state(const Document& document, Value& object, Ref state);

}  // namespace mpanet::pickle
