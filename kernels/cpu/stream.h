// What a stream of the cpu backend is: a place for things that calls share and that live as long as the stream, each
// kept under the address of a tag of its owner (oneDNN's engine and compiled primitives).
#pragma once
#include <map>
#include <memory>

#include "kernels/types.h"

namespace mpanet {

struct StreamBody {
  std::map<const void*, std::shared_ptr<void>> shared;

  template <class T>
  T& get(const void* tag) {
    std::shared_ptr<void>& slot = shared[tag];
    if (!slot) slot = std::make_shared<T>();
    return *static_cast<T*>(slot.get());
  }
};

}  // namespace mpanet
