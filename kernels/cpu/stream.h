// A stream of the cpu backend. It owns objects with the stream's lifetime, such as oneDNN's engine and compiled
// primitives. The key of an object is the address of a tag in the source file that uses it.
#pragma once
#include <map>
#include <memory>

#include "kernels/types.h"
#include "kernels/vendors.h"

namespace mpanet {

struct StreamBody {
  bool tf32 = false;
  Vendors vendors;
  std::map<const void*, std::shared_ptr<void>> shared;

  template <class T>
  T& get(const void* tag) {
    std::shared_ptr<void>& slot = shared[tag];
    if (!slot) slot = std::make_shared<T>();
    return *static_cast<T*>(slot.get());
  }
};

}  // namespace mpanet
